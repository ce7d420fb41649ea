"""The stdio transport's streams, over a client of ours that reads when it is told to."""

import threading
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from blaxel_mcp.server.stdio.standard_streams import NOT_POLLABLE
from blaxel_mcp.server.stdio.transport import FrameSink, FrameSource

pytestmark = pytest.mark.anyio

PINGS = [b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % number for number in range(1000)]


class UnreadStreams:
    """Standard streams with requests, whose client reads no answer before `is_reading` is set."""

    pollable_input = NOT_POLLABLE

    def __init__(self) -> None:
        self._input = [b"".join(PINGS), b""]
        self.is_reading = threading.Event()
        self.written: list[bytes] = []

    def read(self) -> bytes:
        return self._input.pop(0)

    def begin_frame(self, frame: bytes) -> bytes:
        return frame

    def write_frame(self, frame: bytes) -> None:
        self.is_reading.wait(20)
        self.written.append(frame)


async def test_a_client_that_reads_no_answers_is_not_read_either_and_gets_all_of_them_later() -> None:
    streams: Any = UnreadStreams()
    sink = FrameSink(streams)
    source = FrameSource(streams, sink, limit=1000)
    taken, has_begun = list[Any](), anyio.Event()

    async def answer_each() -> None:
        async for item in source:
            assert isinstance(item.message, types.JSONRPCRequest)
            taken.append(item.message.id)
            has_begun.set()
            response = types.JSONRPCResponse(jsonrpc="2.0", id=item.message.id, result={})
            answering.start_soon(sink.send, SessionMessage(response))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(sink.write_slowly)
            async with anyio.create_task_group() as answering:
                answering.start_soon(answer_each)
                await has_begun.wait()
                await anyio.wait_all_tasks_blocked()
                before = len(taken)
                streams.is_reading.set()
            await sink.flush()
            group.cancel_scope.cancel()

    assert before < 300
    assert taken == list(range(1000))
    assert len(streams.written) == 1000
