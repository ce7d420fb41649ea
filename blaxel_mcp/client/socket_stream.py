"""A TCP or TLS connection, which knows whether it has unread bytes.

httpcore's own stream keeps bytes beyond its 64 KiB reads, and takes them for the beginning of the next response
(httpcore 1.0.9 on anyio 4.16). It also opens four cancel scopes and two timers for each request; a call has one
deadline.
"""

import asyncio
import ipaddress
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import httpx

from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import DEFAULT_PORTS, InternalAddressError, is_public_address

_BUFFERED_BYTES = 256 * 1024
"""Receiving pauses at so many unread bytes; asyncio receives as many at once."""

_TOGETHER_BYTES = 64 * 1024
"""A shorter request is passed to the operating system at once: one packet, and one system call, for head and body."""

_NEXT_ADDRESS_SECONDS = 0.25
"""How long one address of a host is tried before the next one is too (RFC 8305, "Connection Attempt Delay")."""


class WebOrigin(NamedTuple):
    """The server that a connection leads to."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx.URL) -> WebOrigin:
    """Return the server of an HTTP URL, by default with the scheme's port."""
    return _origin(url.raw_scheme, url.raw_host, url.port)


@lru_cache(maxsize=64)
def _origin(scheme: bytes, host: bytes, port: int | None) -> WebOrigin:
    return WebOrigin(scheme.decode(), host.decode(), DEFAULT_PORTS[scheme.decode()] if port is None else port)


class Certificates:
    """The certificates that this machine trusts: 2 MB, and tens of milliseconds to read them."""

    def __init__(self) -> None:
        self._reading = anyio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """Return them, read at the first call; raises ConfigurationError if the environment names unusable ones."""
        async with self._reading:
            if self._context is None:
                try:
                    self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
                except OSError as error:
                    raise ConfigurationError(
                        "The certificates for verifying TLS connections cannot be read.",
                        hint="Check SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE in the server's environment.",
                    ) from error
            return self._context


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


async def connect(
    origin: WebOrigin, certificates: Certificates, seconds: float | None, *, must_be_public: bool = False
) -> SocketStream:
    """Open a connection: to the first address of the host that answers, tried in turn and then beside each other.

    The timeout, `seconds`, includes the TLS handshake. With `must_be_public`, the addresses of this machine and of
    private networks are ignored.

    Raises:
        httpx.ConnectTimeout: It took longer.
        httpx.ConnectError: It failed; the cause is the operating system's or OpenSSL's error, or a group of these.
        ConfigurationError: The certificates cannot be read.
    """
    context = await certificates.context() if origin.scheme == "https" else None
    try:
        with anyio.fail_after(seconds):
            stream = await _connect_any(origin.host, origin.port, must_be_public=must_be_public)
            if context:
                await stream.start_tls(context, origin.host, seconds)
            return stream
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, ExceptionGroup) as error:
        raise httpx.ConnectError(str(error)) from error


async def _connect_any(host: str, port: int, *, must_be_public: bool) -> SocketStream:
    """Connect to one of the addresses of a host; raises a group of the errors if there are several and none answers."""
    if _is_address(host):
        return await _connect_to(host, port)
    places = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in _alternating(places)]
    if must_be_public:
        addresses = [address for address in addresses if is_public_address(address)]
        if not addresses:
            raise InternalAddressError(f"{host} resolves to internal addresses only")
    if len(addresses) == 1:
        return await _connect_to(addresses[0], port)
    connected: list[SocketStream] = []
    errors: list[OSError] = []
    try:
        await _race(addresses, port, connected, errors)
    except BaseException:
        _abort(connected)
        raise
    if not connected:
        raise ExceptionGroup("no address of the host could be connected to", errors)
    _abort(connected[1:])
    return connected[0]


async def _race(addresses: list[str], port: int, connected: list[SocketStream], errors: list[OSError]) -> None:
    """Try one address after the other, each for a moment by itself, until one is connected to."""
    async with anyio.create_task_group() as group:

        async def attempt(address: str, ended: anyio.Event) -> None:
            try:
                connected.append(await _connect_to(address, port))
                group.cancel_scope.cancel()
            except OSError as error:
                errors.append(error)
            ended.set()

        for address in addresses:
            ended = anyio.Event()
            group.start_soon(attempt, address, ended)
            with anyio.move_on_after(_NEXT_ADDRESS_SECONDS):
                await ended.wait()


def _abort(streams: list[SocketStream]) -> None:
    for stream in streams:
        stream.abort()


async def _connect_to(address: str, port: int) -> SocketStream:
    _, stream = await asyncio.get_running_loop().create_connection(SocketStream, address, port)
    return stream


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _alternating(addresses: list[Any]) -> Iterable[Any]:
    """Return addresses from `getaddrinfo` in their order, those of IPv6 and IPv4 by turns, IPv6 first."""
    of_six = [address for address in addresses if address[0] == socket.AF_INET6]
    others = [address for address in addresses if address[0] != socket.AF_INET6]
    return filter(None, chain.from_iterable(zip_longest(of_six, others)))


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
