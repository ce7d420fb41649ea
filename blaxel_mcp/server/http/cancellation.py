"""Cancellation by message, for clients of the handshake era (protocol versions before 2026-07-28).

Such a client cancels with `notifications/cancelled`: over HTTP a request of its own, while the request that it names is
still open, possibly in another process. The server keeps no sessions. It only gives each client a random name in
the answer to `initialize` (`Mcp-Session-Id`), and registers requests by that name while they are in flight.
Since 2026-07-28, a client cancels by disconnecting, which needs none of this.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import anyio
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.server.http.body_bounds import ReadBody
from blaxel_mcp.server.http.negotiation import data_of
from blaxel_mcp.server.http.requests import InterruptibleResponse, error_event

SESSION_HEADER = "Mcp-Session-Id"

CancelElsewhere = Callable[[bytes], Awaitable[None]]
"""Cancels the requests with a key: 32 bytes, from which neither the caller nor the id can be read."""

_SESSION_ID_BYTES = 24
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{32}")
"""A session id of ours: 24 bytes in base64. Those of other servers are ignored."""

_VERSION_HEADER = "mcp-protocol-version"

_REQUEST_CANCELLED = -32800
"""The error code of a cancelled request: the one that the SDK uses."""


class CancellationRegistry:
    """The in-flight requests that clients can cancel by another request."""

    def __init__(self, cancel_elsewhere: CancelElsewhere | None = None) -> None:
        self._cancel_elsewhere = cancel_elsewhere
        # By scope, not by key: a client that uses an id twice at the same time cancels both requests.
        self._keys: dict[anyio.CancelScope, bytes] = {}

    async def run(self, app: ASGIApp, body: ReadBody, scope: Scope, send: Send) -> None:
        """Run the application for one request; if a client cancels it, end the response with an error.

        A cancellation counts once the application has accepted it (202), so the application alone validates messages.
        """
        request = Request(scope)
        session_id = _session_id(request.headers)
        # As the SDK decides it: the header is younger than the era.
        version = request.headers.get(_VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[0])
        # Of one size however long the id is; in JSON, 1 differs from "1".
        identity = json.dumps([request.state.caller.identity, session_id, body.request_id])
        key = hashlib.sha256(identity.encode()).digest()
        match body.kind if version in HANDSHAKE_PROTOCOL_VERSIONS else "other":
            case "initialize":
                await app(scope, body.receive, _with_session_id(send))
            case "request" if session_id:
                response = InterruptibleResponse(send)
                with self._registered(key) as request_scope:
                    await app(scope, body.receive, response.send)
                if request_scope.cancelled_caught:
                    await _finish_cancelled(response, body, scope)
            case "cancel" if session_id:
                is_accepted = await _run_notification(app, scope, body.receive, send)
                if is_accepted and not self.cancel(key) and self._cancel_elsewhere:
                    await self._cancel_elsewhere(key)
            case _:
                await app(scope, body.receive, send)

    def cancel(self, key: bytes) -> bool:
        """Cancel the requests of this process with a key; return whether there are any."""
        request_scopes = [request_scope for request_scope, its_key in self._keys.items() if its_key == key]
        for request_scope in request_scopes:
            request_scope.cancel()
        return bool(request_scopes)

    @contextmanager
    def _registered(self, key: bytes) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as request_scope:
            self._keys[request_scope] = key
            try:
                yield request_scope
            finally:
                del self._keys[request_scope]


def _session_id(headers: Headers) -> str:
    """Return the session id of a client; empty for one that sends none of ours, or several."""
    session_ids = headers.getlist(SESSION_HEADER)
    return session_ids[0] if len(session_ids) == 1 and _SESSION_ID.fullmatch(session_ids[0]) else ""


def _with_session_id(send: Send) -> Send:
    """Return a `send` that adds a new session id to a successful response."""

    async def send_with_session_id(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            MutableHeaders(scope=message)[SESSION_HEADER] = secrets.token_urlsafe(_SESSION_ID_BYTES)
        await send(message)

    return send_with_session_id


async def _run_notification(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Run the application; return whether it answered 202, as it does to a valid notification."""
    statuses: list[int] = []

    async def send_and_record(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        await send(message)

    await app(scope, receive, send_and_record)
    return statuses == [HTTPStatus.ACCEPTED]


async def _finish_cancelled(response: InterruptibleResponse, body: ReadBody, scope: Scope) -> None:
    """Finish the response to a cancelled request: with an error, unless it contains the answer already."""
    event = error_event(_REQUEST_CANCELLED, "Request cancelled", body.request_id)
    replacement = Response(data_of(event), media_type="application/json")
    await response.finish(replacement, scope, body.receive, last_event=event)
