"""ask_models: one question, several models, their answers side by side."""

import json
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.server import build_server
from tests.catalog.test_several_workspaces import Platform, several
from tests.support.connecting import (
    answer_of,
    connect,
    error_of,
    inference_requests,
    is_slow_call,
    leading_to,
    receipt_of,
    text_of,
)
from tests.support.leaks import Client
from tests.support.person import Person

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions", "price": {"input": 1000, "output": 1000}}
CLAUDE = {"name": "house-claude", "api": "messages"}
EMBED = {"name": "house-embed", "api": "embeddings"}
QUESTION = {"models": ["house-chat", "house-claude"], "prompt": "What is 6 * 7?"}


async def ask(emulator: Emulator, arguments: dict[str, Any], **settings: Any) -> Any:
    config = leading_to(emulator, **{"models": [CHAT, CLAUDE], **settings})
    with anyio.fail_after(30):
        async with connect(config) as client:
            return await client.call_tool("ask_models", arguments)


def models_called(emulator: Emulator) -> list[str]:
    return sorted(request.path.split("/")[3] for request in inference_requests(emulator.requests))


async def test_the_answers_stand_side_by_side_with_time_tokens_and_cost(emulator: Emulator) -> None:
    result = await ask(emulator, {**QUESTION, "system": "Be short."})

    first, second = answer_of(result)["answers"]
    assert [first["model"], second["model"]] == QUESTION["models"]
    assert "42" in first["text"]
    assert "42" in second["text"]
    assert first["tokens"] > 0
    assert first["cost_usd"] > 0
    assert second["cost_usd"] is None or second["cost_usd"] >= 0
    assert receipt_of(result)["usage"]["total_tokens"] == first["tokens"] + second["tokens"]
    assert "similarity" not in answer_of(result)
    assert models_called(emulator) == QUESTION["models"]


async def test_each_whole_answer_is_readable_by_its_call_id(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[CHAT, CLAUDE])) as client:
        answers = answer_of(await client.call_tool("ask_models", QUESTION))["answers"]
        whole = await client.call_tool("read_result", {"call_id": answers[1]["call_id"]})
        last = await client.call_tool("read_result", {"call_id": "last", "pointer": "/answers/0/text"})

    assert json.loads(text_of(whole))["type"] == "message"
    assert text_of(last) == answers[0]["text"]


async def test_a_model_that_fails_or_is_unknown_leaves_the_others_their_answers(emulator: Emulator) -> None:
    result = await ask(emulator, {**QUESTION, "models": ["fault-500", "house-chat", "house-chatt"]})

    failed, answered, unknown = answer_of(result)["answers"]
    assert failed["error"]["code"] == "upstream_error"
    assert "42" in answered["text"]
    assert (unknown["error"]["code"], unknown["error"]["billed"]) == ("unknown_model", "no")


async def test_whether_a_model_exists_that_access_does_not_allow_is_not_told(emulator: Emulator) -> None:
    arguments = {"models": ["fault-500", "no-such-model", "house-chat"], "prompt": "Hi"}
    result = await ask(emulator, arguments, access={"models": ["house-*"]})

    *denied, answered = answer_of(result)["answers"]
    assert [one["error"]["code"] for one in denied] == ["permission_denied"] * 2
    assert answered["text"]
    assert not any("fault-500" in request.path for request in emulator.requests)


async def test_a_model_that_cannot_be_looked_up_is_not_called_unknown() -> None:
    class Down(Platform):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.startswith("/v0/models/"):
                return httpx.Response(500, json={"error": "down", "code": 500})
            return await super().handle_async_request(request)

    async with connect(several(), transport=Down()) as client:
        result = await client.call_tool("ask_models", {"models": ["only-here", "unlisted"], "prompt": "Hi"})

    _, failed = answer_of(result)["answers"]
    assert failed["error"]["code"] == "upstream_error"
    assert "was not asked, because the control plane answered 500" in failed["error"]["message"]


async def test_a_model_of_another_workspace_is_asked_there_though_it_is_not_listed() -> None:
    class Unlisted(Platform):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v0/models/unlisted" and request.headers["X-Blaxel-Workspace"] == "acme-eu":
                spec = {"runtime": {"type": "openai", "model": "gpt-4o-mini"}}
                return httpx.Response(200, json={"metadata": {"name": "unlisted"}, "spec": spec})
            return await super().handle_async_request(request)

    async with connect(several(), transport=Unlisted()) as client:
        result = await client.call_tool("ask_models", {"models": ["only-here", "acme-eu/unlisted"], "prompt": "Hi"})

    assert [one["text"] for one in answer_of(result)["answers"]] == ["from acme", "from acme-eu"]


async def test_with_enough_answers_the_other_calls_are_cancelled_upstream(emulator: Emulator) -> None:
    arguments = {**QUESTION, "models": ["fault-slow-30s", "house-chat"], "need": 1}
    config = leading_to(emulator, models=[{"name": "fault-slow-30s", "api": "chat-completions"}, CHAT])
    with anyio.fail_after(20):
        async with connect(config) as client:
            slow, quick = answer_of(await client.call_tool("ask_models", arguments))["answers"]
            for request in filter(is_slow_call, emulator.requests):
                await request.wait_aborted()

    assert slow["error"]["code"] == "cancelled"
    assert "enough other models had answered" in slow["error"]["message"]
    assert "42" in quick["text"]


async def test_what_has_no_answer_by_the_deadline_is_reported_as_such(emulator: Emulator) -> None:
    arguments = {**QUESTION, "models": ["fault-slow-30s", "house-chat"], "deadline_seconds": 2}
    config = leading_to(emulator, models=[{"name": "fault-slow-30s", "api": "chat-completions"}, CHAT])
    with anyio.fail_after(20):
        async with connect(config) as client:
            slow, _ = answer_of(await client.call_tool("ask_models", arguments))["answers"]

    assert slow["error"]["code"] == "timeout"


async def test_without_budget_for_all_none_is_asked(emulator: Emulator) -> None:
    result = await ask(emulator, QUESTION, budget={"calls_per_day": 1})

    assert error_of(result)["code"] == "budget_exceeded"
    assert not inference_requests(emulator.requests)


async def test_with_an_embedding_model_the_similarity_of_the_answers_is_given(emulator: Emulator) -> None:
    result = await ask(emulator, QUESTION, models=[CHAT, CLAUDE, EMBED])

    similarity = answer_of(result)["similarity"]
    assert similarity["between"] == QUESTION["models"]
    assert similarity["rows"][0][0] == 1.0
    assert similarity["model"] == "house-embed"
    costs = [answer["cost_usd"] for answer in answer_of(result)["answers"]]
    assert receipt_of(result)["cost_usd"] == pytest.approx(sum(costs) + similarity["cost_usd"])
    assert similarity["cost_usd"] > 0
    assert models_called(emulator) == ["house-chat", "house-claude", "house-embed"]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        pytest.param({"models": ["house-chat", "fault-500"]}, {}, id="one answer has nothing to compare with"),
        pytest.param({}, {"budget": {"calls_per_day": 2}}, id="no room for it in the budget"),
    ],
)
async def test_the_similarity_is_an_extra_that_fails_nothing(
    emulator: Emulator, arguments: dict[str, Any], settings: dict[str, Any]
) -> None:
    result = await ask(emulator, {**QUESTION, **arguments}, models=[CHAT, CLAUDE, EMBED], **settings)

    assert "similarity" not in answer_of(result)
    assert "42" in answer_of(result)["answers"][0]["text"]
    assert "house-embed" not in models_called(emulator)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param({"models": [f"m{number}" for number in range(9)]}, "$.models", id="nine"),
        pytest.param({"models": []}, "$.models", id="none"),
        pytest.param({"need": 3}, "`need` is 3", id="more answers than models"),
        pytest.param({"need": 0}, "$.need", id="no answer"),
        pytest.param({"temperature": 1}, "temperature", id="an argument that the tool has not"),
    ],
)
async def test_wrong_arguments_are_rejected_before_anything_is_sent(
    emulator: Emulator, arguments: dict[str, Any], problem: str
) -> None:
    result = await ask(emulator, {**QUESTION, **arguments})

    assert error_of(result)["code"] == "invalid_arguments"
    assert problem in text_of(result)
    assert not inference_requests(emulator.requests)


async def test_a_person_is_asked_once_for_all_calls(emulator: Emulator) -> None:
    person = Person()
    claude = {**CLAUDE, "price": {"input": 1000, "output": 1000}}
    config = leading_to(emulator, models=[CHAT, claude], budget={"ask_over_usd": 1.5})
    with anyio.fail_after(30):
        async with Client(build_server(config), elicitation_callback=person.answer) as client:
            result = await client.call_tool("ask_models", QUESTION)

    (form,) = person.asked
    assert "house-chat, house-claude" in form.message
    assert receipt_of(result)["agreed_by"] == "person"
    assert len(answer_of(result)["answers"]) == 2


async def test_nobody_is_asked_for_calls_that_the_budget_refuses_anyway(emulator: Emulator) -> None:
    person = Person()
    claude = {**CLAUDE, "price": {"input": 1000, "output": 1000}}
    config = leading_to(emulator, models=[CHAT, claude], budget={"ask_over_usd": 1.5, "usd_per_day": 1})
    with anyio.fail_after(30):
        async with Client(build_server(config), elicitation_callback=person.answer) as client:
            result = await client.call_tool("ask_models", QUESTION)

    assert error_of(result)["code"] == "budget_exceeded"
    assert person.asked == []
    assert inference_requests(emulator.requests) == []


async def test_cancelling_the_call_ends_every_call_upstream(emulator: Emulator) -> None:
    slow = [{"name": f"fault-slow-{seconds}s", "api": "chat-completions"} for seconds in (30, 31)]
    arguments = {"models": [model["name"] for model in slow], "prompt": "Hi"}
    with anyio.fail_after(20):
        async with connect(leading_to(emulator, models=slow)) as client, anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "ask_models", arguments)
            await emulator.wait_for(lambda _: len(list(filter(is_slow_call, emulator.requests))) == len(slow))
            group.cancel_scope.cancel()
        for request in filter(is_slow_call, emulator.requests):
            await request.wait_aborted()


@pytest.mark.parametrize(
    ("models", "tools", "is_listed"),
    [
        pytest.param([CHAT, CLAUDE], {}, True, id="two models"),
        pytest.param([CHAT, EMBED], {}, False, id="one that answers questions"),
        pytest.param([CHAT, CLAUDE], {"layout": "per-api"}, False, id="a small list"),
        pytest.param([CHAT, CLAUDE], {"layout": "generic", "builtin": ["ask_models"]}, True, id="named"),
    ],
)
async def test_the_tool_is_listed_where_it_is_of_use(
    emulator: Emulator, models: Any, tools: dict[str, Any], is_listed: bool
) -> None:
    async with connect(leading_to(emulator, models=models, tools=tools)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]

    assert ("ask_models" in names) is is_listed
