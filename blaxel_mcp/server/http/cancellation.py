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
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import anyio
import anyio.to_thread
import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic_core import from_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.server.http.negotiation import data_of
from blaxel_mcp.server.http.requests import InterruptibleResponse, error_event
from blaxel_mcp.server.message_ids import EDGE_BYTES, find_id

SESSION_HEADER = "Mcp-Session-Id"

CancelElsewhere = Callable[[bytes], Awaitable[None]]
"""Cancels the requests with a key: 32 bytes, from which neither the caller nor the id can be read."""

_SESSION_ID_BYTES = 24
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{32}")
"""A session id of ours: 24 bytes in base64. Those of other servers are ignored."""

_MAX_INITIALIZE_BYTES = 64 * 1024
"""The largest body that is searched for `initialize` if the client has no session yet."""

_MAX_PARSED_BYTES = 64 * 1024
"""The largest body that is parsed on the event loop; this takes less than a millisecond."""

_VERSION_HEADER = "mcp-protocol-version"

_REQUEST_CANCELLED = -32800
"""The error code of a cancelled request: the one that the SDK uses."""


@dataclass(frozen=True, slots=True)
class _Inspected:
    """The part of a message that matters for cancellation.

    Attributes:
        kind: The kind of message.
        request_id: The id of the request that the message makes or cancels.
    """

    kind: Literal["initialize", "request", "cancel", "other"]
    request_id: types.RequestId | None = None


class CancellationRegistry:
    """The in-flight requests that clients can cancel by another request.

    Args:
        max_body_bytes: The largest body that is inspected. The application rejects larger ones.
        cancel_elsewhere: Cancels a request on the other servers; None if there are none.
    """

    def __init__(self, max_body_bytes: int, cancel_elsewhere: CancelElsewhere | None = None) -> None:
        self._max_body_bytes = max_body_bytes
        self._cancel_elsewhere = cancel_elsewhere
        # By scope, not by key: a client that uses an id twice at the same time cancels both requests.
        self._keys: dict[anyio.CancelScope, bytes] = {}

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request; if a client cancels it, end the response with an error.

        A cancellation counts once the application has accepted it (202), so the application alone validates messages.

        Args:
            app: The application. It stops its work for a request when it is cancelled.
            scope: The ASGI scope, with the authenticated caller in `state.caller`.
            receive: The ASGI callable of the request.
            send: The ASGI callable of the response.
        """
        request = Request(scope)
        session_id = _session_id(request.headers)
        limit = self._max_body_bytes if session_id else _MAX_INITIALIZE_BYTES
        # As the SDK decides it: the header is younger than the era.
        version = request.headers.get(_VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[0])
        declared_size = request.headers.get("content-length", "")
        if version not in HANDSHAKE_PROTOCOL_VERSIONS or (declared_size.isdecimal() and int(declared_size) > limit):
            await app(scope, receive, send)
            return
        body = _ReplayedBody(receive)
        message = await body.inspect(limit)
        # Of one size however long the id is; in JSON, 1 differs from "1".
        identity = json.dumps([request.state.caller.identity, session_id, message.request_id])
        key = hashlib.sha256(identity.encode()).digest()
        match message.kind:
            case "initialize":
                await app(scope, body.receive, _with_session_id(send))
            case "request" if session_id:
                response = InterruptibleResponse(send)
                with self._registered(key) as request_scope:
                    await app(scope, body.receive, response.send)
                if request_scope.cancelled_caught:
                    await _finish_cancelled(response, message.request_id, scope, receive)
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


class _ReplayedBody:
    """A request body that is read ahead and inspected, then received by the application from its beginning.

    Args:
        receive: The ASGI callable of the request.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read_ahead: deque[Message] = deque()
        self._size = 0
        self._start = self._end = b""
        self._is_complete = False

    async def receive(self) -> Message:
        """Receive the next ASGI message; messages that were read ahead are released."""
        return self._read_ahead.popleft() if self._read_ahead else await self._receive()

    async def inspect(self, limit: int) -> _Inspected:
        """Return the part of the message that matters; a body of more than `limit` bytes counts as "other".

        The application parses the body anyway, so a large one is parsed here only if neither end shows its id, and
        then in a thread. It is read ahead to its end only if the id is not near its start.
        """
        await self._read(min(limit, _MAX_PARSED_BYTES))
        if self._is_complete and self._size <= _MAX_PARSED_BYTES:
            return self._parse()
        if self._size <= limit and (request_id := find_id(self._start, b"")) is not None:
            return _Inspected("request", request_id)
        await self._read(limit)
        if not self._is_complete:
            return _Inspected("other")
        if (request_id := find_id(b"", self._end)) is not None:
            return _Inspected("request", request_id)
        return await anyio.to_thread.run_sync(self._parse)

    async def _read(self, limit: int) -> None:
        while not self._is_complete and self._size <= limit:
            message = await self._receive()
            self._read_ahead.append(message)
            chunk = message.get("body", b"")
            self._size += len(chunk)
            if len(self._start) < EDGE_BYTES:
                self._start = (self._start + chunk[:EDGE_BYTES])[:EDGE_BYTES]
            self._end = (self._end + chunk[-EDGE_BYTES:])[-EDGE_BYTES:]
            self._is_complete = not message.get("more_body", False)

    def _parse(self) -> _Inspected:
        try:
            content = from_json(b"".join(message.get("body", b"") for message in self._read_ahead))
        except ValueError:
            return _Inspected("other")
        match content:
            case {"method": "notifications/cancelled", "params": {"requestId": int() | str() as request_id}}:
                return _Inspected("cancel", request_id)
            case {"method": "notifications/cancelled", "params": {"requestId": float() as number}} if (
                number.is_integer()
            ):
                return _Inspected("cancel", int(number))
            case {"method": "initialize", "id": _}:
                return _Inspected("initialize")
            case {"method": _, "id": int() | str() as request_id}:
                return _Inspected("request", request_id)
        return _Inspected("other")


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


async def _finish_cancelled(
    response: InterruptibleResponse, request_id: types.RequestId | None, scope: Scope, receive: Receive
) -> None:
    """Finish the response to a cancelled request: with an error, unless it contains the answer already."""
    event = error_event(_REQUEST_CANCELLED, "Request cancelled", request_id)
    replacement = Response(data_of(event), media_type="application/json")
    await response.finish(replacement, scope, receive, last_event=event)
