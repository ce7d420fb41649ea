"""The SDK's streams of messages over the standard streams, without a thread where a pipe can be polled.

The SDK's own `stdio_server` reads and writes each message in a thread, which takes four thread switches: under load,
they cost more than reading, parsing and writing together.
"""

import asyncio
import logging
from collections import deque
from typing import Self

import anyio
import anyio.lowlevel
import anyio.to_thread
from mcp.shared.message import SessionMessage

from blaxel_mcp.server.stdio.frames import FrameBuffer, is_refusal
from blaxel_mcp.server.stdio.standard_streams import NOT_POLLABLE, StdioStreams

logger = logging.getLogger(__name__)

_MAX_UNREAD_BYTES = 1024 * 1024
"""Complete frames that may wait for the server; beyond that, the client waits."""

_MAX_UNWRITTEN_FRAMES = 256
"""Frames that may wait for a client that reads slowly; beyond that, their senders wait too."""


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
            await self._wait_until_unwritten(_MAX_UNWRITTEN_FRAMES)

    async def write_slowly(self) -> None:
        """Write queued messages in a thread, until cancelled; raises OSError if the client has closed the stream."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._unwritten:
                await anyio.to_thread.run_sync(self._streams.write_frame, self._unwritten[0])
                self._unwritten.popleft()
                self._removed.set()

    async def flush(self) -> None:
        """Wait until everything is written."""
        await self._wait_until_unwritten(0)

    async def _wait_until_unwritten(self, count: int) -> None:
        while len(self._unwritten) > count:
            self._removed.clear()
            await self._removed.wait()


class FrameSource(_Stream):
    """Reads the messages of the client, and answers invalid frames: the SDK's `ReadStream`."""

    def __init__(self, streams: StdioStreams, refusals: FrameSink, *, limit: int) -> None:
        self._streams = streams
        self._refusals = refusals
        self._frames = FrameBuffer(limit=limit)
        self._has_ended = self._is_polling = False
        self._has_news = asyncio.Event()

    async def receive(self) -> SessionMessage:
        """Return the next message; raises EndOfStream if there are no more."""
        while True:
            frame = self._frames.take()
            if frame is None and self._has_ended:
                raise anyio.EndOfStream
            if frame is None:
                await self._read()
            elif is_refusal(frame):
                await self._refusals.send(SessionMessage(frame))
                await anyio.lowlevel.checkpoint()
            else:
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
