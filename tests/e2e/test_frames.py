"""Frames to a server process: each one that expects an answer gets one, and a huge one takes no more than the limit."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import error_of, inference_requests
from tests.support.processes import SERVE, frame, hello, started, variables

pytestmark = pytest.mark.anyio


class Process:
    """A server process that receives and answers frames."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def send(self, data: bytes) -> None:
        await self._stdin.send(data)

    async def answer(self) -> Any:
        return json.loads(await self._lines.receive_until(b"\n", 1_000_000))


@asynccontextmanager
async def serving(emulator: Emulator) -> AsyncIterator[Process]:
    async with started(SERVE, variables(emulator)) as process:
        with anyio.fail_after(40):
            speaking = Process(process)
            await speaking.send(hello())
            assert (await speaking.answer())["id"] == 1
            yield speaking


async def test_a_server_answers_invalid_frames_and_goes_on(emulator: Emulator) -> None:
    async with serving(emulator) as server:
        for number, broken in enumerate((b'{"id":2,"method":tru}', b'{"id":3}', b'[{"id":4}]')):
            await server.send(broken + b"\n")
            refused = await server.answer()
            await server.send(b"\n" + frame("ping", 100 + number))
            assert (await server.answer())["id"] == 100 + number
            assert refused["error"]["code"] in (types.PARSE_ERROR, types.INVALID_REQUEST)
            assert refused["id"] == (None if broken.startswith(b"[") else number + 2)


@pytest.mark.skipif(sys.platform != "linux", reason="the figure is read from /proc")
async def test_a_frame_of_400_megabytes_is_answered_and_takes_no_more_memory_than_the_limit(emulator: Emulator) -> None:
    async with serving(emulator) as server:
        before = peak_memory(server.process.pid)
        await server.send(b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"')
        for _ in range(400):
            await server.send(b"x" * 1024 * 1024)
        await server.send(b'"}}\n')
        refused = await server.answer()
        await server.send(frame("ping", 6))
        answered = await server.answer()
        grown = peak_memory(server.process.pid) - before

    assert (refused["id"], refused["error"]["code"]) == (5, types.INVALID_REQUEST)
    assert (answered["id"], answered["result"]) == (6, {})
    # Twice the limit of 16 MiB: the beginning that is kept, and what it was joined from.
    assert grown < 48 * 1024 * 1024


def peak_memory(pid: int) -> int:
    """Return the peak memory of a process, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - a line of /proc, read at once
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def test_a_number_that_json_cannot_represent_is_an_invalid_argument(emulator: Emulator) -> None:
    call = frame("tools/call", 2, name="run_model", arguments={"model": "house-chat", "data": {"a": 0.5}})
    async with serving(emulator) as server:
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
            await server.send(call.replace(b"0.5", number))
            result = types.CallToolResult.model_validate((await server.answer())["result"])

            assert error_of(result)["code"] == "invalid_arguments"
            assert "a number that JSON cannot represent" in error_of(result)["message"]

    assert inference_requests(emulator.requests) == []
