"""A call with a key over stdio, whose server ends or is killed in mid-call: the model is asked once."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.support.connecting import inference_requests
from tests.support.held import HeldAnswers
from tests.support.processes import ENDING_SECONDS, SERVE, frame, hello, started, variables

pytestmark = pytest.mark.anyio

PROMPT = {"prompt": "What is 6 * 7?"}


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


@asynccontextmanager
async def asked(emulator: Emulator) -> AsyncIterator[anyio.abc.Process]:
    """Start a server and call the model with a client's own id, as Claude Code does in a session that it resumes."""
    # The call of a process that was killed counts as running for a while: nobody should wait for that here.
    environment = variables(emulator) | {"BLAXEL_MCP_LIMITS__DETACH_AFTER_SECONDS": "0.2"}
    async with started(SERVE, environment) as process:
        assert process.stdin
        meta = {"claudecode/toolUseId": "toolu_01"}
        await process.stdin.send(hello() + frame("tools/call", 2, name="house-chat", arguments=PROMPT, _meta=meta))
        yield process


async def result_of(process: anyio.abc.Process) -> dict[str, Any]:
    assert process.stdout
    lines = BufferedByteReceiveStream(process.stdout)
    with anyio.fail_after(ENDING_SECONDS):
        while True:
            message = json.loads(await lines.receive_until(b"\n", 1_000_000))
            if message.get("id") == 2:
                result: dict[str, Any] = message["result"]
                return result


async def test_a_call_whose_server_was_killed_is_not_sent_again(emulator: Emulator) -> None:
    held = HeldAnswers(emulator)
    async with asked(emulator) as process:
        await emulator.wait_for(is_chat, timeout_seconds=ENDING_SECONDS)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    held.release()
    async with asked(emulator) as process:
        result = await result_of(process)

    assert result["structuredContent"]["state"] == "running"
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_whose_client_went_away_is_not_sent_again(emulator: Emulator) -> None:
    held = HeldAnswers(emulator)
    async with asked(emulator) as process:
        await emulator.wait_for(is_chat, timeout_seconds=ENDING_SECONDS)
        assert process.stdin
        await process.stdin.aclose()
        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0
    held.release()
    async with asked(emulator) as process:
        result = await result_of(process)

    assert result["_meta"][ERROR_KEY]["billed"] == "maybe"
    assert len(inference_requests(emulator.requests)) == 1
