"""What may be called, decided on what goes out."""

import json
from typing import Any

import httpx
import pytest

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.tools.run_model import read_invocation
from tests.support.connecting import connect, error_of, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

ANSWER = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"total_tokens": 2}}
MESSAGES = {"messages": [{"role": "user", "content": "Hi"}]}
CHAT = {"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 1}}
GEMINI = {"name": "house-gemini", "api": "generate-content"}
TUNED = {"name": "house-tuned", "path": "/v1/tunedModels/ours-1:generateContent"}
RECORDS = {
    "house-chat": {"type": "openai", "model": "gpt-4o-mini"},
    "house-gemini": {"type": "gemini", "model": "gemini-2.5-flash"},
}


class Wire:
    """Answers every request and keeps those that reach a model."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if "/v0/" in request.url.path:
            name = request.url.path.rpartition("/")[2]
            return httpx.Response(200, json={"metadata": {"name": name}, "spec": {"runtime": RECORDS.get(name, {})}})
        self.sent.append(request)
        return httpx.Response(200, json=ANSWER)


async def call(emulator: Emulator, arguments: dict[str, Any], **settings: Any) -> tuple[Any, list[httpx.Request]]:
    wire = Wire()
    config = leading_to(emulator, **{"models": [CHAT, GEMINI, TUNED], **settings})
    async with connect(config, transport=wire.transport) as client:
        return await client.call_tool("run_model", arguments), wire.sent


OTHERS = [
    pytest.param({"data": {**MESSAGES, "model": "o1-pro"}}, id="the body"),
    pytest.param({"data": {**MESSAGES, "Model": "o1-pro"}}, id="the body in another case"),
    pytest.param({"data": {**MESSAGES, "models": ["gpt-4o-mini", "o1-pro"]}}, id="fallbacks"),
    pytest.param({"data": {**MESSAGES, "model": ["o1-pro"]}}, id="an array"),
    pytest.param({"data": {**MESSAGES, "extra_body": {"model": "o1-pro"}}}, id="an extra body"),
    pytest.param({"data": {**MESSAGES, "modelUri": "gpt://folder/o1-pro"}}, id="a URI"),
    pytest.param({"data": {**MESSAGES, "preset": "o1-pro"}}, id="a preset"),
    pytest.param({"data": {"requests": [{"params": {"model": "o1-pro"}}]}}, id="a batch"),
    pytest.param({"data": [{"model": "o1-pro"}]}, id="an array as the body"),
    pytest.param({"data": {**MESSAGES, "tools": [{"type": "image_generation", "model": "o1-pro"}]}}, id="a tool"),
    pytest.param({"data": MESSAGES, "query": {"model": "o1-pro"}}, id="the query"),
    pytest.param({"data": MESSAGES, "path": "/v1/chat/completions?Model=o1-pro"}, id="the query of the path"),
    pytest.param({"data": {}, "path": "/openai/deployments/o1-pro/chat/completions"}, id="a deployment"),
    pytest.param({"data": {}, "path": "/v1/engines/o1-pro/completions"}, id="an engine"),
    pytest.param({"method": "GET", "path": "/v1/models/o1-pro"}, id="GET"),
    pytest.param(
        {"model": "house-gemini", "data": {}, "path": "/v1beta/models/gemini-ultra:generateContent"}, id="Gemini"
    ),
    pytest.param(
        {"model": "house-gemini", "data": {}, "path": "/v1beta/models/gemini-2.5-flash-pro:generateContent"},
        id="a longer name",
    ),
    pytest.param(
        {"model": "house-gemini", "data": {}, "path": "/v1beta/%6dodels/gemini-ultra:generateContent"}, id="an escape"
    ),
]
RESTRICTED = [
    pytest.param({"access": {"models": ["house-*"]}}, id="an allowlist"),
    pytest.param({"models": [CHAT, {**GEMINI, "budget": {"calls_per_day": 5}}]}, id="a budget"),
]


@pytest.mark.parametrize("arguments", OTHERS)
@pytest.mark.parametrize("settings", RESTRICTED)
async def test_a_request_that_names_another_model_is_refused(
    emulator: Emulator, arguments: dict[str, Any], settings: dict[str, Any]
) -> None:
    result, sent = await call(emulator, {"model": "house-chat", **arguments}, **settings)

    assert error_of(result)["code"] == "permission_denied"
    assert "o1-pro" in text_of(result) or "gemini" in text_of(result)
    assert sent == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"data": {**MESSAGES, "model": "gpt-4o-mini"}},
        {"data": {**MESSAGES, "model": "house-chat"}},
        {"data": {"messages": [{"role": "user", "content": "Hi", "model": "o1-pro"}]}},
        {"data": {**MESSAGES, "tools": [{"function": {"parameters": {"properties": {"model": {"type": "string"}}}}}]}},
        {"model": "house-gemini", "data": {"contents": [{}]}, "path": "/v1beta/models/gemini-2.5-flash:countTokens"},
        {"model": "house-tuned", "data": {"contents": [{}]}, "path": "/v1/tunedModels/ours-1:streamGenerateContent"},
        {"method": "GET", "path": "/v1/models"},
    ],
)
async def test_the_endpoints_own_model_may_be_named(emulator: Emulator, arguments: dict[str, Any]) -> None:
    result, sent = await call(emulator, {"model": "house-chat", **arguments}, access={"models": ["house-*"]})

    assert not result.is_error, text_of(result)
    assert len(sent) == 1


async def test_a_model_that_is_allowed_in_full_runs_at_its_own_price_and_within_its_own_locks(
    emulator: Emulator,
) -> None:
    dear = {"name": "o1-pro", "api": "chat-completions", "price": {"input": 100, "output": 100}, "locked": {"n": 1}}
    arguments = {"model": "house-chat", "data": {**MESSAGES, "model": "o1-pro", "n": 9}}
    settings = {"models": [CHAT, dear], "access": {"models": ["house-chat", "o1-pro"]}}

    result, (request,) = await call(emulator, arguments, **settings)
    assert json.loads(request.content) == {**MESSAGES, "model": "o1-pro", "n": 1}
    assert "the request names the model 'o1-pro', and the call counts for it" in receipt_of(result)["notes"]
    refused, sent = await call(emulator, arguments, **settings, budget={"usd_per_day": 0.0001})
    assert (error_of(refused)["code"], sent) == ("budget_exceeded", [])


async def test_without_restrictions_the_caller_chooses_and_the_price_is_not_the_endpoints(emulator: Emulator) -> None:
    arguments = {"model": "house-chat", "data": {**MESSAGES, "model": "o1-pro"}}

    result, sent = await call(emulator, arguments)
    assert json.loads(sent[0].content)["model"] == "o1-pro"
    assert receipt_of(result)["price_source"].startswith("genai-prices ")
    result, _ = await call(emulator, arguments, prices="configured")
    assert receipt_of(result)["cost_usd"] is None
    refused, sent = await call(emulator, arguments, prices="configured", budget={"usd_per_day": 1})
    assert "the price of the model is not known" in text_of(refused)
    assert sent == []


async def test_a_long_name_that_a_request_brings_is_kept_short_in_the_ledger(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[CHAT])
    arguments = {"model": "house-chat", "data": {**MESSAGES, "model": "x" * 100_000}}
    async with connect(config, transport=Wire().transport) as client:
        await client.call_tool("run_model", arguments)
        (contents,) = (await client.read_resource("blaxel://usage")).contents

    ((model,),) = [day["models"] for day in json.loads(getattr(contents, "text", ""))["days"]]
    assert model["model"] == f"{'x' * 199}\u2026"


@pytest.mark.parametrize("name", ["House-Chat", "HOUSE-CHAT", "Ask"])
async def test_a_configured_model_is_meant_in_any_case_of_its_name(emulator: Emulator, name: str) -> None:
    models = [{**CHAT, "tool": "Ask", "locked": {"temperature": 0}, "budget": {"calls_per_day": 1}}]
    arguments = {"model": name, "data": {**MESSAGES, "temperature": 2}}

    result, (sent,) = await call(emulator, arguments, models=models)

    assert sent.url.path == "/demo/models/house-chat/v1/chat/completions"
    assert json.loads(sent.content)["temperature"] == 0
    assert receipt_of(result)["budget"]["model"]["calls"]["cap"] == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_need_a_setting_and_the_tool_says_so(emulator: Emulator, method: str) -> None:
    arguments = {"model": "house-chat", "path": "/v1/files/1", "method": method}

    refused, sent = await call(emulator, arguments)
    assert error_of(refused)["code"] == "permission_denied"
    assert "`access.methods`" in text_of(refused)
    assert sent == []
    allowed, (request,) = await call(emulator, arguments, access={"methods": ["POST", method]})
    assert (bool(allowed.is_error), request.method) == (False, method)
    for access, destructive in (({}, False), ({"methods": ["GET", method]}, True)):
        async with connect(leading_to(emulator, access=access)) as client:
            tool = next(tool for tool in (await client.list_tools()).tools if tool.name == "run_model")
        assert tool.annotations is not None
        assert tool.annotations.destructive_hint is destructive


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b", "a\x85b", "a\u2028b", "a%0Ab"])
async def test_a_query_with_a_control_character_is_refused(emulator: Emulator, text: str) -> None:
    for query in ({"q": text}, {text: "q"}, {"q": ["x", text]}):
        result, sent = await call(emulator, {"model": "house-chat", "data": MESSAGES, "query": query})

        assert error_of(result)["code"] == "invalid_arguments"
        assert sent == []


def test_a_query_with_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidArgumentsError, match="surrogate"):
        read_invocation({"model": "m", "query": {"q": "\ud800"}}, Catalog())


LOCKED = {**CHAT, "locked": {"temperature": 0, "system": "Be brief.", "max_tokens": 10}}


async def test_locked_fields_hold_in_the_models_own_tool_and_in_run_model(emulator: Emulator) -> None:
    wire = Wire()
    loud = {"temperature": 2, "Max_Completion_Tokens": 9, "instructions": "Shout."}
    data = {"messages": [{"role": "developer", "content": "Shout."}, *MESSAGES["messages"]], **loud}
    async with connect(leading_to(emulator, models=[LOCKED]), transport=wire.transport) as client:
        own = await client.call_tool("house-chat", {"prompt": "Hi", "system": "Shout.", **loud})
        other = await client.call_tool("run_model", {"model": "house-chat", "data": data})

    assert not own.is_error, text_of(own)
    assert [json.loads(request.content) for request in wire.sent] == [
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": "Be brief."}, *MESSAGES["messages"]],
            "temperature": 0,
            "max_tokens": 10,
        }
    ] * 2
    assert "temperature is locked by the settings and was reset to its locked value" in receipt_of(other)["repairs"]
    assert "'instructions' was removed: system is locked by the settings" in receipt_of(other)["repairs"]


async def test_a_locked_form_has_each_field_once(emulator: Emulator) -> None:
    speech = {"name": "house-ears", "api": "transcriptions", "locked": {"temperature": 0}}
    data = {"file": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEA", "Temperature": 1, "temperature[]": [1]}
    wire = Wire()
    async with connect(leading_to(emulator, models=[speech]), transport=wire.transport) as client:
        await client.call_tool("run_model", {"model": "house-ears", "data": data})

    (request,) = wire.sent
    assert request.content.lower().count(b"temperature") == 1
    assert b'name="temperature"\r\n\r\n0\r\n' in request.content
