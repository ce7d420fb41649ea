"""Answers that come as streams: asked for when it helps, assembled whole, told as they grow, never half."""

import json
import re
from typing import Any

import anyio
import pytest
from mcp import Client

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import (
    answer_of,
    connect,
    error_of,
    finished,
    inference_requests,
    is_slow_call,
    leading_to,
    receipt_of,
)
from tests.support.held import HeldAnswers

pytestmark = pytest.mark.anyio

MODELS: list[dict[str, Any]] = [
    {"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 1}},
    {"name": "house-claude", "api": "messages"},
    {"name": "house-gemini", "api": "generate-content"},
    {"name": "house-cohere", "api": "cohere-chat"},
]
QUESTION = {"prompt": "Count the words in: one key, many models"}

VOLATILE = {"id", "created", "responseId"}


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer less what is new in each."""
    return {name: value for name, value in answer.items() if name not in VOLATILE}


async def call_with_progress(client: Client, tool: str) -> tuple[Any, list[str]]:
    told: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        told.append(message or "")

    return await client.call_tool(tool, QUESTION, progress_callback=on_progress), told


@pytest.mark.parametrize("tool", [model["name"] for model in MODELS])
async def test_a_streamed_answer_is_the_answer_that_comes_without_a_stream(emulator: Emulator, tool: str) -> None:
    async with connect(leading_to(emulator, models=MODELS)) as client:
        whole = await client.call_tool(tool, QUESTION)
        streamed, _ = await call_with_progress(client, tool)

    first, second = inference_requests(emulator.requests)
    assert b"stream" not in first.body + first.raw_path.lower()
    assert b"stream" in second.body + second.raw_path.lower()
    assert steady(answer_of(streamed)) == steady(answer_of(whole))
    assert receipt_of(streamed)["usage"] == receipt_of(whole)["usage"]
    assert receipt_of(streamed)["cost_usd"] == receipt_of(whole)["cost_usd"]


@pytest.mark.parametrize(
    ("tools", "model", "streamed"),
    [
        pytest.param({"stream": "never"}, {}, False, id="never"),
        pytest.param({"stream": "never"}, {"stream": "auto"}, True, id="never, but for this model"),
        pytest.param({}, {}, True, id="auto, with progress"),
    ],
)
async def test_the_settings_decide_on_streams(
    emulator: Emulator, tools: dict[str, Any], model: dict[str, Any], streamed: bool
) -> None:
    async with connect(leading_to(emulator, models=[{**MODELS[0], **model}], tools=tools)) as client:
        await call_with_progress(client, "house-chat")

    (request,) = inference_requests(emulator.requests)
    assert ("stream" in json.loads(request.body)) is streamed


async def test_a_stream_that_the_caller_asks_for_is_assembled_too(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=MODELS)) as client:
        result = await client.call_tool("house-chat", {**QUESTION, "stream": True})

    assert "I count 4 words" in answer_of(result)["choices"][0]["message"]["content"]


async def test_a_stream_that_breaks_gives_the_part_that_came_as_an_error(emulator: Emulator) -> None:
    async with connect(
        leading_to(emulator, models=[{"name": "fault-stream-cut", "api": "chat-completions"}])
    ) as client:
        result = await client.call_tool("fault-stream-cut", {**QUESTION, "stream": True})

    assert error_of(result)["billed"] == "maybe"
    assert [getattr(block, "text", "") for block in result.content[1:]] == ["I count"]
    assert receipt_of(result)["truncated"] is True


async def test_the_part_that_came_of_a_long_answer_is_held_to_the_limit_of_a_result(emulator: Emulator) -> None:
    config = leading_to(emulator, limits={"max_result_chars": 1000, "max_response_bytes": 100_000})
    async with connect(config) as client:
        data = {"messages": [{"role": "user", "content": "Count."}], "stream": True}
        arguments = {"model": "fault-stream-endless", "path": "/v1/chat/completions", "data": data}
        result = await client.call_tool("run_model", arguments)

    error, part = [getattr(block, "text", "") for block in result.content]
    assert error_of(result)["code"] == "response_too_large"
    assert error.startswith(error_of(result)["message"])
    assert len(part) == 1000
    assert part.startswith("word word")
    assert receipt_of(result)["truncated"] is True


async def test_a_client_hears_within_seconds_that_a_silent_call_is_waiting(emulator: Emulator) -> None:
    heard: list[str] = []

    async with connect(leading_to(emulator)) as client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:

                async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
                    heard.append(message or "")
                    group.cancel_scope.cancel()

                await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}}, progress_callback=hear)

    assert re.fullmatch(r"fault-slow-30s: waiting for \d+ s", heard[0])


async def test_a_slow_call_is_handed_back_and_its_answer_fetched_later(emulator: Emulator) -> None:
    held = HeldAnswers(emulator)
    async with connect(leading_to(emulator, limits={"detach_after_seconds": 0.1})) as client:
        with anyio.fail_after(20):
            handle = await client.call_tool("house-chat", QUESTION)
            assert answer_of(handle)["state"] == "running"
            held.release()
            answer = await finished(client, handle)

    assert answer_of(answer)["choices"]
    assert receipt_of(answer)["call_id"] == answer_of(handle)["call_id"]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_that_was_handed_back_can_be_stopped(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, limits={"detach_after_seconds": 0.1})) as client:
        with anyio.fail_after(20):
            handle = answer_of(await client.call_tool("run_model", {"model": "fault-slow-30s", "data": {}}))
            request = await emulator.wait_for(is_slow_call)
            stopped = answer_of(await client.call_tool("cancel_call", {"call_id": handle["call_id"]}))
            assert stopped == {"call_id": handle["call_id"], "state": "cancelled"}
            await request.wait_aborted()
            result = await client.call_tool("read_result", {"call_id": handle["call_id"]})

    assert error_of(result)["code"] == "cancelled"


@pytest.mark.parametrize("tool", ["cancel_call", "read_result"])
async def test_a_handle_that_leads_nowhere_says_so(emulator: Emulator, tool: str) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool(tool, {"call_id": "call_none"})

    assert error_of(result)["code"] == "not_found"
