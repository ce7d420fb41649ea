"""Middleware that records each request and cancels the work on it when its caller disconnects."""

import itertools
from email.utils import formatdate
from typing import Any

import anyio
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.emulator.faults.streams import CLOSE_CONNECTION
from blaxel_mcp.emulator.platform.state import Emulator, RecordedRequest


class RecordingMiddleware:
    """Records each request, adds an id to its response, and cancels the work when the caller disconnects."""

    def __init__(self, app: ASGIApp, *, emulator: Emulator) -> None:
        self._app = app
        self._emulator = emulator
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        recorded = RecordedRequest(
            request_id=f"emulator-{next(self._numbers):06d}",
            method=scope["method"],
            path=scope["path"],
            raw_path=scope["raw_path"] + query,
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        )
        await _read_body(recorded, receive, self._emulator.max_request_bytes)
        self._emulator.record(recorded)
        if not recorded.aborted:
            await self._answer(recorded, scope, receive, send)

    async def _answer(self, recorded: RecordedRequest, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(recorded, send, self._emulator.now())
        scope["state"] = {**scope.get("state", {}), "recorded": recorded}
        scope["extensions"] = exchange.watch_closing(scope.get("extensions", {}))
        async with anyio.create_task_group() as group:

            async def watch_for_disconnect() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                exchange.disconnected.set()
                if not exchange.complete:
                    recorded.mark_aborted()
                    self._emulator.notify()
                    group.cancel_scope.cancel()

            group.start_soon(watch_for_disconnect)
            await self._app(scope, exchange.receive, exchange.send)
            group.cancel_scope.cancel()


def recorded_request(request: Request) -> RecordedRequest:
    """Return the record of a request that came through the middleware."""
    recorded = request.state.recorded
    assert isinstance(recorded, RecordedRequest)
    return recorded


class _Exchange:
    """The application's side of one exchange.

    It replays the body, which was read before, adds the request id and the date to the response, and
    keeps track of whether the response is complete.
    """

    def __init__(self, recorded: RecordedRequest, send: Send, now: float) -> None:
        self._unread = [recorded.body]
        self._headers = (
            (b"x-cf-request-id", recorded.request_id.encode()),
            (b"date", formatdate(now, usegmt=True).encode()),
        )
        self._send = send
        self.disconnected = anyio.Event()
        self.complete = False

    async def receive(self) -> Message:
        """Return the body first, then wait until the connection is gone."""
        if self._unread:
            return {"type": "http.request", "body": self._unread.pop(), "more_body": False}
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Forward a part of the response."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *self._headers]}
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True

    def watch_closing(self, extensions: dict[str, Any]) -> dict[str, Any]:
        """Return the ASGI extensions such that a connection closed by a fault does not count as a disconnect."""
        close = extensions.get(CLOSE_CONNECTION)
        if close is None:
            return extensions

        def close_and_complete() -> None:
            self.complete = True
            close()

        return {**extensions, CLOSE_CONNECTION: close_and_complete}


async def _read_body(recorded: RecordedRequest, receive: Receive, limit: int) -> None:
    """Read the whole body into the record, keeping at most `limit` bytes of it.

    The rest is read too: a client that is still writing when the connection closes may never see
    the refusal.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            recorded.mark_aborted()
            break
        body += message["body"]
        more = message["more_body"]
        recorded.oversized = recorded.oversized or len(body) > limit
        del body[limit:]
    recorded.body = bytes(body)
