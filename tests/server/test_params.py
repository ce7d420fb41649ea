"""Requests as clients are known to send them: taken as meant, or refused with the name of the parameter."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.stdio.frames import is_refusal, read_frame
from tests.support.connecting import connect, inference_requests, leading_to, receipt_of

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
CLIENT = {"name": "test", "version": "1"}

Ask = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def asking(emulator: Emulator, **settings: Any) -> AsyncIterator[Ask]:
    """A server that takes requests as they go over stdin, whatever their parameters."""
    server = build_server(leading_to(emulator, **settings), environment=Environment())
    to_server, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, from_server = anyio.create_memory_object_stream[SessionMessage](100)

    async def ask(method: str, params: Any, number: int = 2) -> Any:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        frame = read_frame(json.dumps(message).encode())
        if is_refusal(frame):
            return frame.model_dump(by_alias=True, exclude_unset=True)
        await to_server.send(SessionMessage(frame))
        with anyio.fail_after(20):
            while True:
                answer = (await from_server.receive()).message
                if isinstance(answer, types.JSONRPCResponse | types.JSONRPCError) and answer.id == number:
                    return answer.model_dump(by_alias=True, exclude_unset=True)

    async with to_server, reading, writing, from_server, anyio.create_task_group() as group:
        group.start_soon(server.run, reading, writing, server.create_initialization_options())
        yield ask
        group.cancel_scope.cancel()


async def initialized(ask: Ask) -> None:
    await ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": CLIENT}, 1)


def repairs_of(answer: Any) -> list[str]:
    assert not answer["result"].get("isError"), answer
    repairs: list[str] = answer["result"]["_meta"][RECEIPT_KEY]["repairs"]
    return repairs


@pytest.mark.parametrize(
    ("tool", "arguments", "repair"),
    [
        ("house-chat", json.dumps({"prompt": "Hi"}), "a JSON string in `arguments`"),
        ("house-chat", json.dumps(json.dumps({"prompt": "Hi"})), "a JSON string in `arguments`"),
        ("house-chat", json.dumps({"arguments": {"prompt": "Hi"}}), "a JSON string in `arguments`"),
        ("house-chat", {"arguments": json.dumps({"prompt": "Hi"})}, "a JSON string in `arguments`"),
        ("house-chat", {"input": {"prompt": "Hi"}}, "an object in `input`"),
        ("run_model", json.dumps({"model": "house-chat", "data": HELLO}), "a JSON string in `arguments`"),
        ("run_model", {"arguments": {"model": "house-chat", "data": HELLO}}, "an object in `arguments`"),
        ("run_model", {"model": "house-chat", "data": HELLO, "method": ""}, "method was empty"),
        ("run_model", {"model": "house-chat", "data": HELLO, "query": ""}, "query was empty"),
        ("run_model", {"model": "house-chat", "data": HELLO, "query": '{"a": 1}'}, "query was a JSON string"),
        ("list_models", {"offset": 0.0}, "offset was 0.0 and was sent as 0"),
        ("list_models", {"offset": "0"}, 'offset was "0"'),
        ("list_models", {"query": "", "offset": ""}, "offset was empty"),
    ],
)
async def test_arguments_in_another_form_are_taken_as_meant_and_told(
    emulator: Emulator, tool: str, arguments: Any, repair: str
) -> None:
    async with asking(emulator) as ask:
        await initialized(ask)
        answer = await ask("tools/call", {"name": tool, "arguments": arguments})

    assert repair in " ".join(repairs_of(answer))


async def test_an_empty_choice_counts_as_none(emulator: Emulator) -> None:
    config = leading_to(emulator, models=[{"name": "house-painter", "api": "images"}])
    async with connect(config) as client:
        result = await client.call_tool("house-painter", {"prompt": "A cat", "quality": "", "n": ""})

    assert receipt_of(result)["repairs"] == ["quality was empty and was omitted", "n was empty and was omitted"]


@pytest.mark.parametrize("arguments", [None, [], "", {}])
async def test_no_arguments_come_in_several_forms(emulator: Emulator, arguments: Any) -> None:
    async with asking(emulator) as ask:
        await initialized(ask)
        answer = await ask("tools/call", {"name": "list_models", "arguments": arguments})

    assert repairs_of(answer) == []


@pytest.mark.parametrize("tool", ["house-chat", "list_models"])
async def test_a_null_progress_token_counts_as_absent(emulator: Emulator, tool: str) -> None:
    async with asking(emulator) as ask:
        await initialized(ask)
        answer = await ask(
            "tools/call",
            {
                "name": tool,
                "arguments": {"prompt": "Hi"} if tool != "list_models" else {},
                "_meta": {"progressToken": None},
            },
        )

    assert repairs_of(answer) == []


async def test_whole_floats_read_any_part_of_an_answer(emulator: Emulator) -> None:
    async with asking(emulator) as ask:
        await initialized(ask)
        call = await ask("tools/call", {"name": "house-chat", "arguments": {"prompt": "Hi"}})
        call_id = call["result"]["_meta"][RECEIPT_KEY]["call_id"]
        part = {"call_id": call_id, "pointer": "/model", "offset": 0.0, "length": 3.0, "wait_seconds": "0"}
        answer = await ask("tools/call", {"name": "read_result", "arguments": part})

    assert answer["result"]["content"][0]["text"] == "gpt"
    assert len(repairs_of(answer)) == 3


@pytest.mark.parametrize(
    ("method", "params", "problems"),
    [
        (
            "tools/call",
            {"name": "house-chat", "arguments": "hello"},
            ["'params.arguments' must be an object, got a string"],
        ),
        (
            "tools/call",
            {"name": "house-chat", "arguments": ["x"]},
            ["'params.arguments' must be an object, got an array"],
        ),
        ("tools/call", {"name": "house-chat", "arguments": 5}, ["'params.arguments' must be an object, got a number"]),
        ("tools/call", {"arguments": {}}, ["'params.name' is required"]),
        ("tools/call", {}, ["'params.name' is required"]),
        ("tools/call", {"name": 5, "arguments": {}}, ["'params.name' must be a string, got a number"]),
        ("tools/call", {"name": None, "arguments": []}, ["'params.name' must be a string, got null"]),
        ("tools/call", {"name": "house-chat", "arguments": {}, "_meta": 5}, ["'params._meta' must be an object"]),
        (
            "tools/call",
            {"name": "x", "arguments": {}, "_meta": {"progressToken": {}}},
            ["'params._meta.progressToken' must be"],
        ),
        ("resources/read", {}, ["'params.uri' is required"]),
        ("resources/read", {"uri": 5}, ["'params.uri' must be a string, got a number"]),
        ("completion/complete", {"ref": 5}, ["'params.argument' is required"]),
    ],
)
async def test_a_wrong_parameter_is_named(emulator: Emulator, method: str, params: Any, problems: list[str]) -> None:
    async with asking(emulator) as ask:
        await initialized(ask)
        error = (await ask(method, params))["error"]

    assert error["code"] == types.INVALID_PARAMS
    assert all(problem in error["message"] for problem in problems), error["message"]
    assert inference_requests(emulator.requests) == []


async def test_what_an_initialize_lacks_is_named(emulator: Emulator) -> None:
    async with asking(emulator) as ask:
        error = (await ask("initialize", {"protocolVersion": "2025-06-18", "clientInfo": CLIENT}))["error"]

    assert error["message"] == "Invalid request parameters: 'params.capabilities' is required."


async def test_parameters_that_are_a_list_are_told_so(emulator: Emulator) -> None:
    async with asking(emulator) as ask:
        error = (await ask("tools/call", ["house-chat"]))["error"]

    assert "`params` must be an object" in error["message"]


LAMP: dict[str, Any] = {
    "contents": {"role": "user", "parts": {"text": "Dim the lamp."}},
    "tools": {"function_declarations": [{"name": "dim", "description": "Dims it."}]},
}
"""A request as Google takes it, with one object in place of each list of one."""


@pytest.mark.parametrize("with_prompt", [False, True])
async def test_objects_in_place_of_lists_reach_gemini_which_takes_them(emulator: Emulator, with_prompt: bool) -> None:
    prompt = {"prompt": "And the fan."} if with_prompt else {}
    models = [{"name": "house-gemini", "api": "generate-content"}]
    async with asking(emulator, models=models) as ask:
        await initialized(ask)
        answer = await ask("tools/call", {"name": "house-gemini", "arguments": {**LAMP, **prompt}})

    assert not answer["result"]["isError"]
    (request,) = inference_requests(emulator.requests)
    both = [LAMP["contents"], {"role": "user", "parts": [{"text": "And the fan."}]}]
    assert json.loads(request.body) == {**LAMP, "contents": both if with_prompt else LAMP["contents"]}


async def test_run_model_sends_data_as_it_is(emulator: Emulator) -> None:
    data = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100.0, "x": ""}
    async with asking(emulator) as ask:
        await initialized(ask)
        await ask("tools/call", {"name": "run_model", "arguments": {"model": "house-chat", "data": data}})

    (request,) = inference_requests(emulator.requests)
    assert b'"max_tokens":100.0,"x":""' in request.body
