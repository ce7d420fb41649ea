"""The stdio transport: one client on stdin and stdout, and an end that is quick however it comes."""

import logging
from typing import Any, NoReturn

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.message import SessionMessage

from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals
from blaxel_mcp.server.stdio.frames import FrameReader, is_refusal
from blaxel_mcp.server.stdio.parent import wait_until_orphaned
from blaxel_mcp.server.stdio.standard_streams import Wire

logger = logging.getLogger(__name__)

_UNWRITTEN = 256
"""Frames that may wait for a client that is slow to read, before those who make more of them wait too."""

_Incoming = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing = MemoryObjectSendStream[SessionMessage]


async def serve_stdio(server: Server[Any], wire: Wire, *, tools_change: bool, max_frame_bytes: int) -> NoReturn:
    """Serve one client over the wire; the process ends with it.

    End of input, SIGTERM, SIGHUP and the death of the parent process end it with exit code 0, SIGINT with
    130, each within two seconds, with the calls in flight aborted upstream and the answers that were
    complete written.

    Args:
        server: Answers the client.
        wire: Leads to it.
        tools_change: Whether the client is told that the list of tools may change.
        max_frame_bytes: The largest frame that is taken from it.
    """
    options = server.create_initialization_options(NotificationOptions(tools_changed=tools_change))
    incoming, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, outgoing = anyio.create_memory_object_stream[SessionMessage](_UNWRITTEN)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_write, outgoing, wire)
            async with anyio.create_task_group() as serving:
                group.start_soon(_end_on_signal, serving.cancel_scope, wire)
                serving.start_soon(_end_with_parent, serving.cancel_scope, wire)
                serving.start_soon(_read, FrameReader(wire.stdin, limit=max_frame_bytes), incoming, writing.clone())
                await server.run(reading, writing, options)
                serving.cancel_scope.cancel()
            # What is complete is written, and nothing else is to come.
            wire.end_soon()
            writing.close()
            await wire.written.wait()
            # Not after the block: leaving it waits for the thread that reads, which waits for a line.
            wire.leave()
    except* OSError as errors:
        logger.info("the client closed its end: %s", errors.exceptions[0])
    except* Exception:
        logger.exception("the server failed")
        wire.exit_code = ExitCode.FAILED
    wire.leave()


async def _read(frames: FrameReader, incoming: _Incoming, answers: _Outgoing) -> None:
    """Hand frames over to the server until there are no more, and answer those that are none."""
    async with incoming, answers:
        while frame := await anyio.to_thread.run_sync(frames.read, abandon_on_cancel=True):
            if is_refusal(frame):
                await answers.send(SessionMessage(frame))
            else:
                await incoming.send(SessionMessage(frame))


async def _write(outgoing: MemoryObjectReceiveStream[SessionMessage], wire: Wire) -> None:
    """Write frames until no more can come."""
    async for item in outgoing:
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        await anyio.to_thread.run_sync(wire.write_frame, text)
    wire.written.set()


async def _end_with_parent(scope: anyio.CancelScope, wire: Wire) -> None:
    await wait_until_orphaned(wire.parent)
    logger.info("the process that started this one is gone")
    wire.end_soon()
    scope.cancel()


async def _end_on_signal(scope: anyio.CancelScope, wire: Wire) -> None:
    """End at the first signal. Those that follow change nothing: the end is near already."""
    async with received_signals() as signals:
        async for received in signals:
            if not scope.cancel_called:
                wire.exit_code = exit_code_after(received)
                wire.end_soon()
                scope.cancel()
