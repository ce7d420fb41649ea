"""Carries requests over connections of their own to each host, the most recently used first.

httpcore's pool looks at all of its requests and connections before and after each request, and its locks run a failing
import unless `sniffio` is installed: with 32 requests in flight, two thirds of the time of a request went there. Its
HTTP/1.1 connections, and with them h11's strict parser, are used here as they are.
"""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpcore
import httpx

from blaxel_mcp.client.socket_stream import SocketStream, connect
from blaxel_mcp.client.trace import CallTrace, SendTracker

_CLOSED = (httpcore.NetworkError, httpcore.RemoteProtocolError)
_ERRORS = (*_CLOSED, httpcore.TimeoutException, httpcore.LocalProtocolError)


@dataclass(slots=True, eq=False)
class _Connection:
    """A connection to one host.

    Attributes:
        origin: Scheme, host and port.
        stream: Its bytes.
        http: The requests and responses on it.
        idle_since: When its last response ended, by `time.monotonic`.
    """

    origin: httpcore.Origin
    stream: SocketStream
    http: httpcore.AsyncHTTP11Connection
    idle_since: float = 0

    @property
    def is_reusable(self) -> bool:
        """Whether the last response ended as it should, and no byte follows it among those that were read."""
        # Only the library's internals know of bytes behind a body: it would read them as the next response.
        state = getattr(self.http, "_h11_state", None)
        return self.http.is_idle() and state is not None and not state.trailing_data[0]


class DirectTransport(httpx.AsyncBaseTransport):
    """An httpx transport without a proxy, for one event loop.

    Args:
        certificates: For TLS connections.
        limits: `max_keepalive_connections` and `keepalive_expiry` apply, to the connections of all hosts together.
    """

    def __init__(self, certificates: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._certificates = certificates
        self._max_idle = math.inf if limits.max_keepalive_connections is None else limits.max_keepalive_connections
        self._idle_seconds = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry
        # The one that has been idle the longest comes first.
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._expiry: asyncio.TimerHandle | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, whose body is still to be read.

        An idle connection that the peer closes before anything has been sent on it is replaced by another.

        Args:
            request: The request. A `SendTracker` in its extension `trace` learns whether it has been sent.

        Raises:
            httpx.TransportError: The request failed.
        """
        url, timeout = request.url, request.extensions.get("timeout", {})
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        passed_on = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions={"timeout": timeout}
        )
        tracker = request.extensions.get("trace")
        trace = tracker.trace if isinstance(tracker, SendTracker) else CallTrace()
        trace.sent = False
        with _library_errors():
            while True:
                idle = self._take_idle(target.origin)
                connection = idle or await self._connect(target.origin, timeout.get("connect"))
                connection.stream.trace = trace
                self._busy.add(connection)
                try:
                    response = await connection.http.handle_async_request(passed_on)
                except BaseException as error:
                    self._release(connection)
                    if idle and not trace.sent and isinstance(error, _CLOSED):
                        continue
                    raise
                assert isinstance(response.stream, AsyncIterable)
                body = _Body(response.stream, partial(self._release, connection))
                return httpx.Response(
                    response.status, headers=response.headers, stream=body, extensions=response.extensions
                )

    async def aclose(self) -> None:
        """Close every connection; a later request would open new ones."""
        for connection in (*self._idle, *self._busy):
            connection.stream.abort()
        self._idle.clear()
        self._busy.clear()
        self._expire()
        await asyncio.sleep(0)

    def _take_idle(self, origin: httpcore.Origin) -> _Connection | None:
        """Return the most recently used connection to a host that can be used again; close those that cannot."""
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].origin == origin:
                connection = self._idle.pop(index)
                is_recent = time.monotonic() - connection.idle_since < self._idle_seconds
                if is_recent and connection.stream.is_quiet:
                    return connection
                connection.stream.abort()
        return None

    async def _connect(self, origin: httpcore.Origin, seconds: float | None) -> _Connection:
        stream = await connect(origin, self._certificates, seconds)
        connection = httpcore.AsyncHTTP11Connection(origin, stream)
        # If a later version names it otherwise, its own lock goes on working.
        connection._state_lock = _NoLock()  # type: ignore[assignment]  # noqa: SLF001 - there is no public way
        return _Connection(origin, stream, connection)

    def _release(self, connection: _Connection) -> None:
        """Keep a connection whose response has been read for later requests; close any other."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        if not connection.is_reusable:
            connection.stream.abort()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._idle.pop(0).stream.abort()
        if self._expiry is None:
            self._expire()

    def _expire(self) -> None:
        """Close the connections that have been idle for too long, and come back for the others."""
        now = time.monotonic()
        while self._idle and now - self._idle[0].idle_since >= self._idle_seconds:
            self._idle.pop(0).stream.abort()
        if self._expiry:
            self._expiry.cancel()
        self._expiry = None
        if self._idle and self._idle_seconds < math.inf:
            remaining = self._idle_seconds - (now - self._idle[0].idle_since)
            self._expiry = asyncio.get_running_loop().call_later(remaining, self._expire)


class _NoLock:
    """In place of httpcore's lock: a connection has one request at a time, and each lock takes a turn of the loop."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


class _Body(httpx.AsyncByteStream):
    """The body of a response, which returns the connection at its end."""

    def __init__(self, stream: Any, release: Callable[[], None]) -> None:
        self._stream = stream
        self._release = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _library_errors():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._release()


@contextmanager
def _library_errors() -> Iterator[None]:
    """Raise httpcore's exceptions as httpx's of the same name."""
    try:
        yield
    except _ERRORS as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error
