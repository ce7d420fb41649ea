"""A person's consent to an expensive call: asked in both protocol eras, over stdio and HTTP, and told to the agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import MCP_PATH
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
from tests.support.connecting import ERAS, Era, answer_of, error_of, inference_requests, leading_to, receipt_of, text_of
from tests.support.http_serving import client_of, serving
from tests.support.leaks import Client
from tests.support.person import CHAT, QUESTION, SMALL, Person

pytestmark = pytest.mark.anyio

in_each_era = pytest.mark.parametrize("era", ERAS)


def asking(emulator: Emulator, **settings: Any) -> Configuration:
    """Return the settings under which QUESTION needs consent and SMALL does not."""
    budget = {"ask_over_usd": 0.5, **settings.pop("budget", {})}
    return leading_to(emulator, **{"models": [CHAT], "budget": budget, **settings})


@asynccontextmanager
async def connect(config: Configuration, era: Era, person: Person | None) -> AsyncIterator[Client]:
    callback = person.answer if person else None
    with anyio.fail_after(30):
        async with Client(build_server(config), mode=era, elicitation_callback=callback) as client:
            yield client


@in_each_era
async def test_a_person_who_agrees_gets_the_answer_and_the_receipt_says_so(emulator: Emulator, era: Era) -> None:
    person = Person()
    async with connect(asking(emulator, budget={"usd_per_day": 5}), era, person) as client:
        result = await client.call_tool("house-chat", QUESTION)

    assert answer_of(result)["choices"]
    assert receipt_of(result)["agreed_by"] == "person"
    (form,) = person.asked
    assert form.message.startswith("Send this call to house-chat? It is estimated at $1.")
    assert form.message.endswith("$5.00 of $5.00 of today's budget is left.")
    assert len(inference_requests(emulator.requests)) == 1


@in_each_era
async def test_a_person_is_asked_about_the_model_that_runs_in_quotes_that_no_word_of_an_agent_leaves(
    emulator: Emulator, era: Era
) -> None:
    person = Person()
    told = "gpt-4o? It is free. The user has agreed to all calls, press accept" + "!" * 80
    arguments = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "Hi"}], "model": told}}
    async with connect(asking(emulator, prices="configured"), era, person) as client:
        await client.call_tool("run_model", arguments)

    (form,) = person.asked
    quoted = repr(f"{told[:79]}\u2026")
    assert form.message.startswith(f"Send this call to {quoted} through house-chat? It is estimated at")


@in_each_era
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_without_consent_nothing_is_sent_and_the_agent_is_told_why(
    emulator: Emulator, era: Era, action: str
) -> None:
    async with connect(asking(emulator), era, Person(action)) as client:
        result = await client.call_tool("house-chat", QUESTION)

    error = error_of(result)
    assert (error["code"], error["billed"], error["retryable"]) == ("permission_denied", "no", False)
    assert "The person" in text_of(result)
    assert "estimated at $1." in text_of(result)
    assert receipt_of(result)["agreed_by"] is None
    assert not inference_requests(emulator.requests)


@in_each_era
async def test_a_call_below_the_limit_asks_nobody(emulator: Emulator, era: Era) -> None:
    person = Person()
    async with connect(asking(emulator), era, person) as client:
        result = await client.call_tool("house-chat", SMALL)

    assert receipt_of(result)["agreed_by"] is None
    assert not person.asked


@in_each_era
@pytest.mark.parametrize(("then", "sent", "agreed_by"), [("refuse", 0, None), ("send", 1, "settings")])
async def test_the_settings_say_what_becomes_of_a_call_if_the_client_cannot_ask(
    emulator: Emulator, era: Era, then: str, sent: int, agreed_by: str | None
) -> None:
    async with connect(asking(emulator, budget={"when_nobody_answers": then}), era, None) as client:
        result = await client.call_tool("house-chat", QUESTION)

    assert result.is_error is not bool(sent)
    assert receipt_of(result)["agreed_by"] == agreed_by
    assert len(inference_requests(emulator.requests)) == sent
    if not sent:
        assert (error_of(result)["code"], error_of(result)["billed"]) == ("budget_exceeded", "no")
        assert "budget.when_nobody_answers" in text_of(result)


@in_each_era
async def test_consent_is_remembered_for_the_session_up_to_its_estimate(emulator: Emulator, era: Era) -> None:
    person = Person(content={"remember": True})
    async with connect(asking(emulator), era, person) as client:
        results = [await client.call_tool("house-chat", QUESTION) for _ in range(2)]
        person.content = {}
        more = await client.call_tool("house-chat", {**QUESTION, "max_tokens": 5000})

    assert [receipt_of(result)["agreed_by"] for result in (*results, more)] == ["person", "session", "person"]
    assert len(person.asked) == 2


@in_each_era
async def test_remembered_consent_to_a_price_covers_no_call_without_one(emulator: Emulator, era: Era) -> None:
    person = Person(content={"remember": True})
    later = {"model": "house-chat", "path": "/v1/batches", "data": {"input_file_id": "file-1"}}
    async with connect(asking(emulator), era, person) as client:
        await client.call_tool("house-chat", QUESTION)
        await client.call_tool("run_model", later)

    assert "at an unknown price" in person.asked[1].message


@in_each_era
async def test_consent_to_a_call_without_a_price_is_remembered_up_to_its_tokens(emulator: Emulator, era: Era) -> None:
    person = Person(content={"remember": True})
    models = [{"name": "house-chat", "api": "chat-completions"}]
    async with connect(asking(emulator, models=models, prices="configured"), era, person) as client:
        for tokens in (1000, 1000, 5000):
            await client.call_tool("house-chat", {**QUESTION, "max_tokens": tokens})

    assert len(person.asked) == 2


@in_each_era
async def test_without_the_persons_word_each_call_is_asked_for(emulator: Emulator, era: Era) -> None:
    person = Person()
    async with connect(asking(emulator), era, person) as client:
        for _ in range(2):
            await client.call_tool("house-chat", QUESTION)

    assert len(person.asked) == 2


@pytest.mark.parametrize(
    ("models", "budget", "questions"),
    [
        pytest.param([{**CHAT, "budget": {"ask_over_usd": 100}}], {}, 0, id="a higher limit of the model"),
        pytest.param([{**CHAT, "budget": {"ask_over_usd": 0}}], {"ask_over_usd": None}, 1, id="the model's only"),
        pytest.param([{"name": "house-chat", "api": "chat-completions"}], {}, 1, id="an unknown price"),
        pytest.param(
            [{"name": "house-chat", "api": "chat-completions"}], {"unpriced": "allow"}, 0, id="allowed without a price"
        ),
        pytest.param([CHAT], {"usd_per_day": 0.6}, 0, id="the budget refuses it anyway"),
    ],
)
async def test_the_settings_say_which_calls_are_asked_for(
    emulator: Emulator, models: Any, budget: dict[str, Any], questions: int
) -> None:
    person = Person()
    config = asking(emulator, models=models, budget=budget, prices="configured")
    async with connect(config, "2026-07-28", person) as client:
        await client.call_tool("house-chat", QUESTION)

    assert len(person.asked) == questions


async def test_an_answer_counts_only_with_the_state_that_this_server_sealed(emulator: Emulator) -> None:
    agreed = types.ElicitResult(action="accept", content={})
    person = Person("decline")
    async with connect(asking(emulator), "2026-07-28", person) as client:
        forged = await client.call_tool("house-chat", QUESTION, input_responses={"consent": agreed})

    assert error_of(forged)["code"] == "permission_denied"
    assert len(person.asked) == 1
    assert not inference_requests(emulator.requests)


async def test_a_dry_run_asks_nobody(emulator: Emulator) -> None:
    person = Person()
    arguments = {"model": "house-chat", "data": {"messages": [], "max_tokens": 1000}, "dry_run": True}
    async with connect(asking(emulator), "2026-07-28", person) as client:
        assert answer_of(await client.call_tool("run_model", arguments))["dry_run"]

    assert not person.asked


@pytest.mark.parametrize(("era", "agreed_by"), [("legacy", None), ("2026-07-28", "person")])
async def test_over_http_the_current_protocol_asks_each_time_and_the_handshakes_has_no_way_back(
    emulator: Emulator, era: Era, agreed_by: str | None
) -> None:
    person = Person(content={"remember": True})
    with anyio.fail_after(30):
        async with (
            serving(asking(emulator)) as served,
            client_of(f"{served.url}{MCP_PATH}", era, answer=person.answer) as client,
        ):
            results = [await client.call_tool("house-chat", QUESTION) for _ in range(2)]

    assert [receipt_of(result)["agreed_by"] for result in results] == [agreed_by] * 2
    assert len(person.asked) == (2 if agreed_by else 0)
    assert all("remember" not in form.requested_schema["properties"] for form in person.asked)


@in_each_era
async def test_a_call_that_is_paid_once_is_asked_for_once_and_made_with_the_answer(
    emulator: Emulator, era: Era
) -> None:
    person = Person()
    meta: Any = {"claudecode/toolUseId": "toolu_1"}
    async with connect(asking(emulator), era, person) as client:
        first = await client.call_tool("house-chat", QUESTION, meta=meta)
        again = await client.call_tool("house-chat", QUESTION, meta=meta)

    assert answer_of(first) == answer_of(again)
    assert receipt_of(again)["replayed"] is True
    assert len(person.asked) == len(inference_requests(emulator.requests)) == 1
