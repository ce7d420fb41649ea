"""The stdio transport: one client on stdin and stdout, and a fast exit for any reason.

The SDK's own `stdio_server` reads and writes each message in a thread, which takes four thread switches: under load,
they cost more than reading, parsing and writing together. Here a pipe is polled; files and terminals take a thread.
"""

import asyncio
import logging
from collections import deque
from typing import Any, NoReturn, Self

import anyio
import anyio.lowlevel
import anyio.to_thread
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.message import SessionMessage

from blaxel_mcp.budget.open_ledgers import OPEN_LEDGERS
from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals, wait_until_orphaned
from blaxel_mcp.server.stdio.frames import FrameBuffer, is_refusal
from blaxel_mcp.server.stdio.standard_streams import NOT_POLLABLE, StdioStreams

logger = logging.getLogger(__name__)

_MAX_UNREAD_BYTES = 1024 * 1024
"""Complete frames that may wait for the server; beyond that, the client waits."""

_MAX_UNWRITTEN_FRAMES = 256
"""Frames that may wait for a client that reads slowly; beyond that, their senders and further requests wait too."""

_MESSAGES_AT_ONCE = 32
"""Messages that the server takes before it works on them; each pause costs a turn of the event loop."""


class _Stream:
    """A stream that stays open as long as the process."""

    async def aclose(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class FrameSink(_Stream):
    """Writes the messages to the client: the SDK's `WriteStream`."""

    def __init__(self, streams: StdioStreams) -> None:
        self._streams = streams
        # The first one may be in progress.
        self._unwritten: deque[bytes] = deque()
        self._added, self._removed = asyncio.Event(), asyncio.Event()

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message, or leave it to `write_slowly` if the client has yet to read others."""
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        # Half of a surrogate pair has no bytes; a frame with a replacement character is better than none.
        frame = text.encode("utf-8", "replace") + b"\n"
        if not self._unwritten:
            frame = self._streams.begin_frame(frame)
        if frame:
            self._unwritten.append(frame)
            self._added.set()
            await self.wait_for_room()

    async def write_slowly(self) -> None:
        """Write queued messages in a thread, until cancelled; raises OSError if the client has closed the stream."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._unwritten:
                await anyio.to_thread.run_sync(self._streams.write_frame, self._unwritten[0])
                self._unwritten.popleft()
                self._removed.set()

    async def wait_for_room(self) -> None:
        """Wait until the client has read all but the last frames."""
        await self._wait_until_unwritten(_MAX_UNWRITTEN_FRAMES)

    async def flush(self) -> None:
        """Wait until everything is written."""
        await self._wait_until_unwritten(0)

    async def _wait_until_unwritten(self, count: int) -> None:
        while len(self._unwritten) > count:
            self._removed.clear()
            await self._removed.wait()


class FrameSource(_Stream):
    """Reads the messages of the client, and answers invalid frames: the SDK's `ReadStream`."""

    def __init__(self, streams: StdioStreams, sink: FrameSink, *, limit: int) -> None:
        self._streams = streams
        self._sink = sink
        self._frames = FrameBuffer(limit=limit)
        self._has_ended = self._is_polling = False
        self._has_news = asyncio.Event()
        self._taken = 0

    async def receive(self) -> SessionMessage:
        """Return the next message; raises EndOfStream if there are no more."""
        while True:
            frame = self._frames.take()
            if frame is None and self._has_ended:
                raise anyio.EndOfStream
            if frame is None:
                await self._read()
            elif is_refusal(frame):
                await self._sink.send(SessionMessage(frame))
                await anyio.lowlevel.checkpoint()
            else:
                self._taken += 1
                if self._frames.waiting_bytes and self._taken % _MESSAGES_AT_ONCE == 0:
                    # Of many messages, the first are answered before the last are taken, and a client that does not
                    # read its answers is not read either.
                    await anyio.lowlevel.checkpoint()
                    await self._sink.wait_for_room()
                return SessionMessage(frame)

    async def aclose(self) -> None:
        """Stop reading."""
        if self._is_polling:
            self._is_polling = False
            asyncio.get_running_loop().remove_reader(self._streams.pollable_input)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def _read(self) -> None:
        """Wait for more input."""
        if self._streams.pollable_input == NOT_POLLABLE:
            self._feed(await anyio.to_thread.run_sync(self._streams.read, abandon_on_cancel=True))
            return
        if not self._is_polling:
            self._is_polling = True
            asyncio.get_running_loop().add_reader(self._streams.pollable_input, self._read_at_once)
        await self._has_news.wait()
        self._has_news.clear()

    def _read_at_once(self) -> None:
        try:
            data = self._streams.read_at_once()
        except OSError as error:
            logger.info("the client closed the connection: %s", error)
            data = b""
        if data is not None:
            self._feed(data)
            self._has_news.set()
            if self._has_ended or self._frames.waiting_bytes > _MAX_UNREAD_BYTES:
                self._is_polling = False
                asyncio.get_running_loop().remove_reader(self._streams.pollable_input)

    def _feed(self, data: bytes) -> None:
        self._has_ended = not data
        self._frames.feed(data)


async def serve_stdio(
    server: Server[Any], streams: StdioStreams, *, tools_change: bool, max_frame_bytes: int
) -> NoReturn:
    """Serve one client over the standard streams, and exit the process.

    End of input, SIGTERM, SIGHUP and the death of the parent process end it with exit code 0, SIGINT with 130, each
    within two seconds. In-flight calls are aborted upstream, and complete answers are written.
    """
    options = server.create_initialization_options(NotificationOptions(tools_changed=tools_change))
    # Entries still to be written if the cleanup does not end in time.
    streams.before_exit = OPEN_LEDGERS.flush
    sink = FrameSink(streams)
    source = FrameSource(streams, sink, limit=max_frame_bytes)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(sink.write_slowly)
            async with anyio.create_task_group() as serving:
                group.start_soon(_end_on_signal, serving.cancel_scope, streams)
                serving.start_soon(_end_with_parent, serving.cancel_scope, streams)
                await server.run(source, sink, options)
                serving.cancel_scope.cancel()
            # Write the frames that are complete; there will be no others.
            streams.start_shutdown_timer()
            await sink.flush()
            # Inside the block: its end would wait for the thread that may be waiting for a line.
            streams.exit()
    except* OSError as errors:
        logger.info("the client closed the connection: %s", errors.exceptions[0])
    except* Exception:
        logger.exception("the server failed")
        streams.exit_code = ExitCode.FAILED
    streams.exit()


async def _end_with_parent(scope: anyio.CancelScope, streams: StdioStreams) -> None:
    await wait_until_orphaned(streams.parent)
    logger.info("the parent process has died")
    streams.start_shutdown_timer()
    scope.cancel()


async def _end_on_signal(scope: anyio.CancelScope, streams: StdioStreams) -> None:
    """End at the first ending signal. Later ones change nothing: the process is about to exit."""
    with received_signals() as signals:
        async for received in signals:
            if not scope.cancel_called:
                streams.exit_code = exit_code_after(received)
                streams.start_shutdown_timer()
                scope.cancel()
