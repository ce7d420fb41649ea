"""A transport with its own connections to each host; the most recently used one is reused first.

httpcore's pool looks at all of its requests and connections before and after each request, and its locks run a failing
import unless `sniffio` is installed: with 32 requests in flight, two thirds of the time of a request went there. Its
HTTP/1.1 connection is a shell around h11, with four turns of the event loop for its locks and a dozen calls for each
piece of a body: with it, a call takes an eighth more instructions with 32 in flight, and a stream of 200 events takes a
quarter more (docs/performance.md). So h11, whose strict parser decides what a response is, is used here directly.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import h11
import httpx

from blaxel_mcp.client.connecting import Certificates, WebOrigin, connect, origin_of
from blaxel_mcp.client.socket_stream import SocketStream
from blaxel_mcp.client.trace import CallTrace, SendTracker

_CLOSED = (httpx.NetworkError, httpx.RemoteProtocolError, h11.RemoteProtocolError)

_MAX_HEAD_BYTES = 100 * 1024
"""Maximum size of the head of a response, and of the head of a chunk; httpcore's."""


class _Connection:
    """A connection to one host, which carries one request at a time.

    Attributes:
        is_public: Whether its address has been required to be public.
        idle_since: When its last response ended, by `time.monotonic`.
    """

    def __init__(self, origin: WebOrigin, stream: SocketStream, *, is_public: bool) -> None:
        self.origin = origin
        self.stream = stream
        self.is_public = is_public
        self.idle_since = 0.0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)

    async def send(self, request: httpx.Request) -> None:
        """Send a request. If the peer takes no more of it, its response can still be read."""
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        assert isinstance(request.stream, httpx.SyncByteStream)
        with suppress(httpx.WriteError):
            await self._write(head)
            for chunk in request.stream:
                await self._write(h11.Data(data=chunk))
            await self._write(h11.EndOfMessage())

    async def receive_head(self) -> h11.Response | h11.InformationalResponse:
        """Return the head of the response, or of an interim one that ends HTTP on the connection."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._read()
            elif isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == httpx.codes.SWITCHING_PROTOCOLS
            ):
                return event

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body, in one piece what arrived together; raises httpx.TransportError if it is broken."""
        try:
            while True:
                pieces: list[bytes] = []
                event: object = None
                problem: h11.RemoteProtocolError | None = None
                try:
                    while isinstance(event := self._http.next_event(), h11.Data):
                        pieces.append(bytes(event.data))
                except h11.RemoteProtocolError as error:
                    problem = error
                if pieces:
                    yield b"".join(pieces)
                if problem:
                    raise problem
                if event is not h11.NEED_DATA:
                    return
                await self._read()
        except h11.ProtocolError as error:
            raise _as_httpx(error) from error

    def finish(self) -> bool:
        """End the exchange; return whether the connection can be reused: no byte may follow the response."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return not self._http.trailing_data[0]

    async def _write(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            await self.stream.write(data)

    async def _read(self) -> None:
        data = await self.stream.read()
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        self._http.receive_data(data)


class DirectTransport(httpx.AsyncBaseTransport):
    """An httpx transport without a proxy, for one event loop.

    Args:
        certificates: For TLS connections.
        limits: `max_keepalive_connections` and `keepalive_expiry` apply, to the connections of all hosts together.
    """

    def __init__(self, certificates: Certificates, limits: httpx.Limits) -> None:
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
            request: Its body is in memory. A `SendTracker` in its extension `trace` learns whether it has been sent.
                With the extension `must_be_public`, it is sent to no address of this machine or of a private network.

        Raises:
            httpx.TransportError: The request failed.
        """
        origin = origin_of(request.url)
        tracker = request.extensions.get("trace")
        trace = tracker.trace if isinstance(tracker, SendTracker) else CallTrace()
        trace.sent = False
        try:
            while True:
                idle = self._take_idle(origin, must_be_public=request.extensions.get("must_be_public", False))
                connection = idle or await self._connect(origin, request)
                connection.stream.trace = trace
                self._busy.add(connection)
                try:
                    await connection.send(request)
                    head = await connection.receive_head()
                except BaseException as error:
                    self._release(connection)
                    if idle and not trace.sent and isinstance(error, _CLOSED):
                        continue
                    raise
                return httpx.Response(
                    head.status_code,
                    headers=head.headers.raw_items(),
                    stream=_Body(connection, self._release),
                    extensions={"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason},
                )
        except h11.ProtocolError as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        """Close every connection; a later request would open new ones."""
        for connection in (*self._idle, *self._busy):
            connection.stream.abort()
        self._idle.clear()
        self._busy.clear()
        self._expire()
        await asyncio.sleep(0)

    def _take_idle(self, origin: WebOrigin, *, must_be_public: bool) -> _Connection | None:
        """Return the most recently used connection to a host that can be used again; close those that cannot."""
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].origin == origin and self._idle[index].is_public >= must_be_public:
                connection = self._idle.pop(index)
                is_recent = time.monotonic() - connection.idle_since < self._idle_seconds
                if is_recent and connection.stream.is_quiet:
                    return connection
                connection.stream.abort()
        return None

    async def _connect(self, origin: WebOrigin, request: httpx.Request) -> _Connection:
        seconds = request.extensions.get("timeout", {}).get("connect")
        must_be_public = request.extensions.get("must_be_public", False)
        stream = await connect(origin, self._certificates, seconds, must_be_public=must_be_public)
        return _Connection(origin, stream, is_public=must_be_public)

    def _release(self, connection: _Connection) -> None:
        """Keep a connection whose response has been read for later requests; close any other."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        if not connection.finish():
            connection.stream.abort()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._idle.pop(0).stream.abort()
        if self._expiry is None:
            self._expire()

    def _expire(self) -> None:
        """Close the connections that have been idle for too long, and schedule the next check."""
        now = time.monotonic()
        while self._idle and now - self._idle[0].idle_since >= self._idle_seconds:
            self._idle.pop(0).stream.abort()
        if self._expiry:
            self._expiry.cancel()
        self._expiry = None
        if self._idle and self._idle_seconds < math.inf:
            remaining = self._idle_seconds - (now - self._idle[0].idle_since)
            self._expiry = asyncio.get_running_loop().call_later(remaining, self._expire)


class _Body(httpx.AsyncByteStream):
    """The body of a response, which returns the connection at its end."""

    def __init__(self, connection: _Connection, release: Callable[[_Connection], None]) -> None:
        self._connection = connection
        self._release = release

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.body()

    async def aclose(self) -> None:
        self._release(self._connection)


def _as_httpx(error: h11.ProtocolError) -> httpx.TransportError:
    """Return httpx's exception with the name of h11's."""
    kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
    return kind(str(error))
