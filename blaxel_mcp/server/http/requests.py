"""In-flight HTTP requests: counted, waited for when the server shuts down, and cancelled at the end of that time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.server.http.errors import interrupted


class InFlightRequests:
    """The requests that are being answered, and whether the server accepts more of them.

    Attributes:
        is_draining: Whether the server is shutting down and accepts no more requests.
    """

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._scopes_until_drain: set[anyio.CancelScope] = set()
        self._one_finished = anyio.Event()
        self.is_draining = False

    @property
    def count(self) -> int:
        """The number of requests that are being answered."""
        return len(self._scopes)

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request.

        If `cancel_all` cancels it, the client gets a 503 response, or the end of the stream that has begun.
        """
        response = InterruptibleResponse(send)
        with anyio.CancelScope() as request_scope:
            self._scopes.add(request_scope)
            try:
                await app(scope, receive, response.send)
            finally:
                self._scopes.discard(request_scope)
                self._one_finished.set()
        if request_scope.cancelled_caught:
            await response.finish(interrupted().response(), scope, receive)

    @asynccontextmanager
    async def until_drained(self) -> AsyncIterator[None]:
        """Cancel the body of the context when the server starts to drain: for streams with no end of their own."""
        with anyio.CancelScope() as stream_scope:
            self._scopes_until_drain.add(stream_scope)
            if self.is_draining:
                stream_scope.cancel()
            try:
                yield
            finally:
                self._scopes_until_drain.discard(stream_scope)

    def drain(self) -> None:
        """Accept no more requests, and end the streams that have no end of their own."""
        self.is_draining = True
        for stream_scope in list(self._scopes_until_drain):
            stream_scope.cancel()

    async def wait_finished(self) -> None:
        """Wait until no request is being answered."""
        while self._scopes:
            self._one_finished = anyio.Event()
            await self._one_finished.wait()

    def cancel_all(self) -> None:
        """Cancel the requests that are still being answered."""
        for request_scope in list(self._scopes):
            request_scope.cancel()


class InterruptibleResponse:
    """An ASGI response that can be finished early: it records what has been sent.

    Args:
        send: The ASGI callable that sends the response.

    Attributes:
        is_stream: Whether an event stream has begun.
        last_event: The last event of the stream; keep-alive comments are not events.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_begun = self._is_complete = False
        self.is_stream = False
        self.last_event = b""

    async def send(self, message: Message) -> None:
        """Send the next ASGI message; a send that is cancelled counts as not sent."""
        await self._send(message)
        self._is_begun = True
        if message["type"] == "http.response.start":
            self.is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            return
        self._is_complete = not message.get("more_body", False)
        if self.is_stream and (event := message.get("body", b"")) and not event.startswith(b":"):
            self.last_event = event

    async def finish(self, replacement: Response, scope: Scope, receive: Receive, *, last_chunk: bytes = b"") -> None:
        """Finish the response, unless it is complete.

        Args:
            replacement: The whole response, if nothing has been sent yet.
            scope: The ASGI scope of the request.
            receive: The ASGI callable of the request.
            last_chunk: The end of the body, if a part has been sent already.
        """
        if not self._is_begun:
            await replacement(scope, receive, self._send)
        elif not self._is_complete:
            await self._send({"type": "http.response.body", "body": last_chunk, "more_body": False})
