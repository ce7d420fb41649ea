"""Arguments that are large or validated by the owner's schema: off the event loop, while others are answered."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
import pytest
from jsonschema import Draft202012Validator

from blaxel_mcp.apis import APIS, CHAT_COMPLETIONS
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.base import Encoded
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.calls import CallRegistry
from blaxel_mcp.tools.registry import Tool, ToolRegistry
from tests.support.connecting import connect, error_of, inference_requests, leading_to

pytestmark = pytest.mark.anyio

SMALL: dict[str, Any] = {"prompt": "Hi", "messages": [{"role": "user", "content": "Hi"}] * 20, "max_tokens": 10}
LARGE: list[Any] = [
    pytest.param({"prompt": "x" * 1_000_000}, id="one long text"),
    pytest.param({"messages": [{"role": "user", "content": "x"}] * 2000}, id="many values"),
    pytest.param({"prompt": "x", "extra": {"k" * 1_000_000: 1}}, id="a long name"),
    pytest.param({"messages": [[]] * 2000}, id="many errors"),
    pytest.param({"messages": json.dumps([{"role": "user", "content": "x"}] * 20_000)}, id="JSON as a string"),
]


async def test_our_own_schemas_which_are_not_checked_at_the_start_are_valid(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        tools = (await client.list_tools()).tools

    assert {"run_model", "list_models", "read_result", "cancel_call"} <= {tool.name for tool in tools}
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
    for api in APIS:
        Draft202012Validator.check_schema(api.accepted_schema())


class Recording(ArgumentValidator):
    """Notes the thread in which it validates."""

    thread: int | None = None

    def validate(self, arguments: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
        self.thread = threading.get_ident()
        return super().validate(arguments)


async def thread_of(schema: JSONObject, arguments: dict[str, Any]) -> int | None:
    """The thread in which a tool's arguments are validated."""

    async def run(_: JSONObject, __: CallContext) -> types.CallToolResult:
        return types.CallToolResult(content=[])

    validator = Recording(schema, owner="The schema")
    registry = ToolRegistry(CallRegistry())
    registry.replace([Tool(types.Tool(name="tool", input_schema=schema), validator, run)], Settings())
    await registry.call("tool", arguments)
    return validator.thread


async def test_small_arguments_are_validated_at_once() -> None:
    assert await thread_of(CHAT_COMPLETIONS.accepted_schema(), SMALL) == threading.get_ident()


@pytest.mark.parametrize("arguments", LARGE)
async def test_large_arguments_are_validated_in_a_thread(arguments: dict[str, Any]) -> None:
    assert await thread_of(CHAT_COMPLETIONS.accepted_schema(), arguments) not in (None, threading.get_ident())


@pytest.mark.parametrize(
    "part", [{"pattern": "^a"}, {"anyOf": [{}]}, {"oneOf": [{}]}, {"$ref": "#/$defs/a"}, {"uniqueItems": True}]
)
async def test_a_schema_that_may_take_long_is_validated_in_a_thread(part: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"value": part}, "$defs": {"a": {}}}

    assert await thread_of(schema, {"value": "a"}) not in (None, threading.get_ident())


@pytest.mark.parametrize(("prompt", "inline"), [("Hi", True), ("x" * 1_000_000, False)])
async def test_a_large_body_is_written_in_a_thread(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, prompt: str, inline: bool
) -> None:
    threads: list[int] = []

    def encode(body: Any) -> Encoded:
        threads.append(threading.get_ident())
        return Encoded(json.dumps(body).encode(), "application/json")

    monkeypatch.setattr(CHAT_COMPLETIONS, "encode", encode, raising=False)
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("house-chat", {"prompt": prompt})

    assert [thread == threading.get_ident() for thread in threads] == [inline]


NODE = {"anyOf": [{"properties": {"next": {"$ref": "#/$defs/n"}}, "required": [name]} for name in ("left", "right")]}
DOUBLING = {"type": "object", "properties": {"value": {"$ref": "#/$defs/n"}}, "$defs": {"n": NODE}}


async def test_others_are_answered_while_a_schema_takes_long(emulator: Emulator) -> None:
    value: dict[str, Any] = {}
    for _ in range(40):
        value = {"next": value}
    # Enough values for many steps, which the doubling then takes.
    arguments = {"value": {"next": value, "more": [1] * 500}}
    models = [{"name": "house-chat", "api": "chat-completions", "input_schema": DOUBLING}]
    results: list[types.CallToolResult] = []
    turns = 0

    async def call() -> None:
        results.append(await client.call_tool("house-chat", arguments))

    async with connect(leading_to(emulator, models=models)) as client, anyio.create_task_group() as group:
        group.start_soon(call)
        while not results:
            await client.call_tool("list_models", {})
            turns += 1

    assert "take too long to validate" in error_of(results[0])["message"]
    assert turns > 1
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize("tool", ["run_model", "house-chat", "list_models", "ask_models"])
async def test_an_error_that_quotes_half_a_surrogate_pair_can_be_written(emulator: Emulator, tool: str) -> None:
    """Text in a JSON string is not checked by the SDK, which fails when it has to write such a character."""
    wrapped = '{"model": {"\\ud83d": 1}, "query": {"\\ud83d": 1}, "models": [{"\\ud83d": 1}], "prompt": {"\\ud83d": 1}}'
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool(tool, {"arguments": wrapped})

    assert error_of(result)["code"] == "invalid_arguments"
    assert result.model_dump_json()
