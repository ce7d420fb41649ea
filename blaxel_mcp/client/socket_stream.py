"""A TCP or TLS connection, which knows whether it has unread bytes.

httpcore's own stream keeps bytes beyond its 64 KiB reads, and takes them for the beginning of the next response
(httpcore 1.0.9 on anyio 4.16). It also opens four cancel scopes and two timers for each request; a call has one
deadline.
"""

import asyncio
import select
import ssl
from contextlib import suppress
from typing import Any

import httpx

from blaxel_mcp.client.trace import CallTrace

_BUFFERED_BYTES = 256 * 1024
"""Receiving pauses at so many unread bytes; asyncio receives as many at once."""

_TOGETHER_BYTES = 64 * 1024
"""A shorter request is passed to the operating system at once: one packet, and one system call, for head and body."""


class SocketStream(asyncio.Protocol):
    """One connection; closing it discards what has not been sent.

    The `trace` is the current request's; its `sent` is set when the first bytes are passed to the operating system.
    """

    def __init__(self) -> None:
        self.trace = CallTrace()
        self._transport: Any = None
        self._unsent = b""
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._received: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing has arrived that has not been read."""
        return not (self._ended or self._chunks or _has_arrived(self._transport.get_extra_info("socket")))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Store the bytes, and pause receiving if they are not read fast enough."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= _BUFFERED_BYTES:
            self._transport.pause_reading()
        _wake(self._received)

    def eof_received(self) -> None:
        """Note the end; the transport closes itself."""
        self._ended = True
        _wake(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and the error unless it only says that TLS was not ended as it should."""
        self._ended = True
        self._error = None if isinstance(exc, ssl.SSLEOFError) else exc
        _wake(self._received)
        _wake(self._drained)

    def pause_writing(self) -> None:
        """Let `write` wait."""
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let `write` continue."""
        _wake(self._drained)
        self._drained = None

    async def read(self) -> bytes:
        """Send what `write` left; return all that has arrived, no bytes at the end; raises httpx.ReadError."""
        if self._unsent and not self._ended:
            # Bytes that the peer has sent can still be read.
            with suppress(httpx.WriteError):
                await self._send(b"")
        if not self._chunks and not self._ended:
            self._received = asyncio.get_running_loop().create_future()
            await self._received
        if self._chunks:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            if self._size >= _BUFFERED_BYTES:
                self._transport.resume_reading()
            self._size = 0
            return data
        if self._error:
            raise httpx.ReadError(str(self._error)) from self._error
        return b""

    async def write(self, buffer: bytes) -> None:
        """Send bytes, and wait while too many of them are unsent. A few are left to the next `write` or `read`.

        Raises:
            httpx.WriteError: The connection is closed, or broke; what the peer has sent can still be read.
        """
        if self._ended:
            raise httpx.WriteError("The connection is closed.")
        if len(self._unsent) + len(buffer) > _TOGETHER_BYTES:
            await self._send(buffer)
        else:
            self._unsent += buffer

    async def _send(self, buffer: bytes) -> None:
        self.trace.sent = True
        for piece in filter(None, (self._unsent, buffer)):
            self._transport.write(piece)
        self._unsent = b""
        if self._drained:
            await self._drained
            if self._error:
                raise httpx.WriteError(str(self._error)) from self._error

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    async def start_tls(self, certificates: ssl.SSLContext, host: str, seconds: float | None) -> None:
        """Begin TLS, with HTTP/1.1 as the only protocol; raises OSError, such as `ssl.SSLError`, after closing."""
        certificates.set_alpn_protocols(["http/1.1"])
        loop = asyncio.get_running_loop()
        try:
            self._transport = await loop.start_tls(
                self._transport, self, certificates, server_hostname=host, ssl_handshake_timeout=seconds or None
            )
        except BaseException:
            self.abort()
            raise


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future and not future.done():
        future.set_result(None)


def _has_arrived(connection: Any) -> bool:
    """Return whether a socket has something to read, the end included, that the event loop has not seen yet."""
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
