"""The requests being answered: counted, so that a server that is stopped can wait for them, and cut off at the end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.http_refusals import draining


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
        answer = _Answer(send)
        with anyio.CancelScope() as cut:
            self._cuts.add(cut)
            try:
                await app(scope, receive, answer.send)
            finally:
                self._cuts.discard(cut)
                self._fewer.set()
        if cut.cancelled_caught:
            await answer.end(scope, receive)

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


class _Answer:
    """What of a request's answer has been sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_begun = self._is_complete = False

    async def send(self, message: Message) -> None:
        self._is_begun = True
        self._is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive) -> None:
        if not self._is_begun:
            await draining().response()(scope, receive, self._send)
        elif not self._is_complete:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
