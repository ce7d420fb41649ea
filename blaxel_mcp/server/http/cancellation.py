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
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope, Send

from blaxel_mcp.server.http.body_bounds import ReadBody
from blaxel_mcp.server.http.requests import InFlightRequests

SESSION_HEADER = "Mcp-Session-Id"

CancelElsewhere = Callable[[bytes], Awaitable[None]]
"""Cancels the requests with a key: 32 bytes, from which neither the caller nor the id can be read."""

_SESSION_ID_BYTES = 24
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{32}")
"""A session id of ours: 24 bytes in base64. Those of other servers are ignored."""

_VERSION_HEADER = "mcp-protocol-version"


class ClientCancellation:
    """Lets clients cancel their in-flight requests by another request, and names the clients for that."""

    def __init__(self, requests: InFlightRequests, cancel_elsewhere: CancelElsewhere | None = None) -> None:
        self._requests = requests
        self._cancel_elsewhere = cancel_elsewhere

    async def run(self, app: ASGIApp, body: ReadBody, scope: Scope, send: Send) -> None:
        """Run the application for one of the in-flight requests.

        A cancellation counts once the application has accepted it (202), so the application alone validates messages.
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
            is_here = self._requests.cancel(key)
            if not is_here and self._cancel_elsewhere:
                await self._cancel_elsewhere(key)


def _with_session_id(send: Send) -> Send:
    """Return a `send` that adds a new session id to a successful response."""

    async def send_with_session_id(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            MutableHeaders(scope=message)[SESSION_HEADER] = secrets.token_urlsafe(_SESSION_ID_BYTES)
        await send(message)

    return send_with_session_id
