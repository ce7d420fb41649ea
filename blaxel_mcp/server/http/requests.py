"""In-flight HTTP requests: counted, waited for when the server shuts down, and cancelled, by it or by their clients.

Since 2026-07-28, a client cancels by disconnecting. One of the handshake era (protocol versions before) cancels with
`notifications/cancelled`: over HTTP a request of its own, while the request that it names is still open, possibly in
another process. The server keeps no sessions. It only gives each client a random name in the answer to `initialize`
(`Mcp-Session-Id`), and registers requests by that name while they are in flight.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import anyio
import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.core import json_text
from blaxel_mcp.server.callers import Caller
from blaxel_mcp.server.http.body_bounds import ReadBody
from blaxel_mcp.server.http.errors import RefusedError
from blaxel_mcp.server.http.negotiation import begins_events, data_of

MAX_CONNECTIONS = 400
"""Connections of one process: many systems allow 1024 descriptors, and each call takes a second one upstream."""

RETRY_SOON = {"Retry-After": "1", "Connection": "close"}
"""The headers of a refusal that is over in a moment."""

_INTERRUPTED = "The server shut down before this request was finished. A model call in it may have been billed."
"""Without `Retry-After`: clients that retry by themselves would pay for a call twice."""

_REQUEST_CANCELLED = -32800
"""The error code of a cancelled request: the one that the SDK uses."""

SESSION_HEADER = "Mcp-Session-Id"

_SESSION_ID_BYTES = 24
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{32}")
"""A session id of ours: 24 bytes in base64. Those of other servers are ignored."""

_VERSION_HEADER = "mcp-protocol-version"


class InFlightRequest:
    """A request that is being answered. It records what has been sent of the response, to finish that early.

    Attributes:
        caller: The identity of its caller.
        scope: Cancelled to end the request.
        request_id: Its id in the protocol, as far as it is known.
        key: The key by which its client can cancel it; None if it cannot.
        is_cancelled: Whether its client has.
        until_drain: Cancelled when the server starts to drain, for a stream that has no end.
        status: The HTTP status of the response; 0 until it has begun.
    """

    def __init__(self, caller: str, send: Send) -> None:
        self.caller = caller
        self.scope = anyio.CancelScope()
        self.request_id: types.RequestId | None = None
        self.key: bytes | None = None
        self.is_cancelled = False
        self.until_drain: anyio.CancelScope | None = None
        self.status = 0
        self._send = send
        self._is_stream = self._is_complete = False
        self._last_event = b""

    async def send(self, message: Message) -> None:
        """Send the next ASGI message of the response; a send that is cancelled counts as not sent."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_stream = begins_events(message)
            return
        self._is_complete = not message.get("more_body", False)
        if self._is_stream and (event := message.get("body", b"")) and not event.startswith(b":"):
            self._last_event = event

    async def finish(self, replacement: Response, scope: Scope, receive: Receive, *, last_event: bytes) -> None:
        """Finish the response, unless it is complete.

        It becomes `replacement` if nothing has been sent; an event stream without the answer ends with `last_event`.
        """
        if not self.status:
            await replacement(scope, receive, self._send)
        elif not self._is_complete:
            # Notifications, which precede the answer, have a method.
            last_data = data_of(self._last_event)
            is_answered = bool(last_data) and "method" not in json.loads(last_data)
            chunk = last_event if self._is_stream and not is_answered else b""
            await self._send({"type": "http.response.body", "body": chunk, "more_body": False})


class InFlightRequests:
    """The requests that are being answered, and whether the server accepts more of them.

    Args:
        share: How many of them one caller may have; None for any number.
        cancel_elsewhere: Cancels the requests with a key on other servers. A key is 32 bytes, from which neither the
            caller nor the id can be read.

    Attributes:
        is_draining: Whether the server is shutting down and accepts no more requests.
    """

    def __init__(
        self, share: int | None = None, cancel_elsewhere: Callable[[bytes], Awaitable[None]] | None = None
    ) -> None:
        self._share = share
        self._cancel_elsewhere = cancel_elsewhere
        self._requests: list[InFlightRequest] = []
        self._one_finished = anyio.Event()
        self.is_draining = False

    @property
    def count(self) -> int:
        """The number of requests that are being answered."""
        return len(self._requests)

    def require_share(self, caller: Caller) -> None:
        """Raise RefusedError (429) if a caller has its share of the requests in flight already."""
        if self._share is not None and [it.caller for it in self._requests].count(caller.identity) >= self._share:
            description = (
                "This caller has as many requests in flight as one of several may have. Retry when one has ended."
            )
            raise RefusedError(429, "too_many_requests", description, RETRY_SOON)

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request, which it finds in `state.in_flight`.

        If the request is cancelled, an event stream that has begun ends with an error. Otherwise the response is that
        error if the client has cancelled it, and 503 if `cancel_all` has.
        """
        state = Request(scope).state
        request = InFlightRequest(state.caller.identity, send)
        state.in_flight = request
        with request.scope:
            self._requests.append(request)
            try:
                await app(scope, receive, request.send)
            finally:
                self._requests.remove(request)
                self._one_finished.set()
        if request.scope.cancelled_caught:
            error = {"code": types.INTERNAL_ERROR, "message": _INTERRUPTED}
            replacement = RefusedError(503, "unavailable", _INTERRUPTED, {"Connection": "close"}).response()
            if request.is_cancelled:
                error = {"code": _REQUEST_CANCELLED, "message": "Request cancelled"}
            text = json_text.dump({"jsonrpc": "2.0", "id": request.request_id, "error": error})
            if request.is_cancelled:
                replacement = Response(text, media_type="application/json")
            event = f"event: message\r\ndata: {text}\r\n\r\n".encode()
            await request.finish(replacement, scope, receive, last_event=event)

    async def pass_on(self, app: ASGIApp, body: ReadBody, scope: Scope, send: Send) -> None:
        """Run the application for a request in flight whose body has been read.

        From here on, its client can cancel one of the handshake era by another request. That counts once the
        application has accepted it (202).
        """
        state, headers = Request(scope).state, Request(scope).headers
        state.in_flight.request_id = body.request_id
        session_ids = headers.getlist(SESSION_HEADER)
        session_id = session_ids[0] if len(session_ids) == 1 and _SESSION_ID.fullmatch(session_ids[0]) else ""
        # As the SDK decides it: the header is younger than the era.
        version = headers.get(_VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[0])
        kind = body.kind if version in HANDSHAKE_PROTOCOL_VERSIONS else "other"
        # Of one size however long the id is; in JSON, 1 differs from "1".
        identity = json.dumps([state.caller.identity, session_id, body.request_id])
        key = hashlib.sha256(identity.encode()).digest()
        if kind == "initialize":
            send = _with_session_id(send)
        elif kind == "request" and session_id:
            state.in_flight.key = key
        await app(scope, body.receive, send)
        if kind == "cancel" and session_id and state.in_flight.status == HTTPStatus.ACCEPTED:
            is_here = self.cancel(key)
            if not is_here and self._cancel_elsewhere:
                await self._cancel_elsewhere(key)

    def cancel(self, key: bytes) -> bool:
        """Cancel the requests with a key, several if a client uses an id twice; return whether there are any."""
        requests = [request for request in self._requests if request.key == key]
        for request in requests:
            request.is_cancelled = True
            request.scope.cancel()
        return bool(requests)

    def drain(self) -> None:
        """Accept no more requests, and end the streams that have no end."""
        self.is_draining = True
        for request in self._requests:
            if request.until_drain:
                request.until_drain.cancel()

    async def wait_finished(self) -> None:
        """Wait until no request is being answered."""
        while self._requests:
            self._one_finished = anyio.Event()
            await self._one_finished.wait()

    def cancel_all(self) -> None:
        """Cancel the requests that are still being answered."""
        for request in list(self._requests):
            request.scope.cancel()


def _with_session_id(send: Send) -> Send:
    """Return a `send` that adds a new session id to a successful response."""

    async def send_with_session_id(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            MutableHeaders(scope=message)[SESSION_HEADER] = secrets.token_urlsafe(_SESSION_ID_BYTES)
        await send(message)

    return send_with_session_id
