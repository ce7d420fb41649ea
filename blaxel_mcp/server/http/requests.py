"""The requests being answered: counted, so that a server that is stopped can wait for them, and cut off at the end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.server.http.errors import draining


class Traffic:
    """The requests under way, and whether there may be more."""

    def __init__(self) -> None:
        self._cuts: set[anyio.CancelScope] = set()
        self._fewer = anyio.Event()
        self._at_drain: set[Callable[[], None]] = set()
        self.is_draining = False

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return len(self._cuts)

    async def carry(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered; if it is cut off, its client is told as far as that still goes."""
        answer = Answer(send)
        with anyio.CancelScope() as cut:
            self._cuts.add(cut)
            try:
                await app(scope, receive, answer.send)
            finally:
                self._cuts.discard(cut)
                self._fewer.set()
        if cut.cancelled_caught:
            await answer.end(draining().response(), scope, receive)

    @asynccontextmanager
    async def until_drained(self) -> AsyncIterator[None]:
        """Run what has no end of its own: it is cancelled when the others are waited for."""
        with anyio.CancelScope() as scope:
            self._at_drain.add(scope.cancel)
            if self.is_draining:
                scope.cancel()
            try:
                yield
            finally:
                self._at_drain.discard(scope.cancel)

    def drain(self) -> None:
        """Let nothing more in."""
        self.is_draining = True
        for end in list(self._at_drain):
            end()

    async def wait_over(self) -> None:
        """Wait until everything is answered."""
        while self._cuts:
            self._fewer = anyio.Event()
            await self._fewer.wait()

    def cut_off(self) -> None:
        """Stop what is still not answered."""
        for cut in list(self._cuts):
            cut.cancel()


class Answer:
    """An answer that may have to be ended early: what of it has been sent, and its end.

    Args:
        send: Where it is sent.

    Attributes:
        is_stream: Whether it is a stream of events, and has begun.
        last_event: Of a stream, the event that was sent last; signs of life are none.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_begun = self._is_complete = False
        self.is_stream = False
        self.last_event = b""

    async def send(self, message: Message) -> None:
        """Send the next part, as ASGI has it. One that is cancelled before it is taken has not been sent."""
        await self._send(message)
        self._is_begun = True
        if message["type"] == "http.response.start":
            self.is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            return
        self._is_complete = not message.get("more_body", False)
        if self.is_stream and (event := message.get("body", b"")) and not event.startswith(b":"):
            self.last_event = event

    async def end(self, whole: Response, scope: Scope, receive: Receive, *, rest: bytes = b"") -> None:
        """End it, unless it is complete.

        Args:
            whole: The answer in its place, if nothing of it has been sent.
            scope: Of the request.
            receive: As ASGI has it.
            rest: What is sent last otherwise.
        """
        if not self._is_begun:
            await whole(scope, receive, self._send)
        elif not self._is_complete:
            await self._send({"type": "http.response.body", "body": rest, "more_body": False})
