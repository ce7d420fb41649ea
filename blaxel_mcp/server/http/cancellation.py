"""Requests that their clients cancel by a message of its own, as those of the handshake era do.

Over HTTP that message is a request of its own, while the one that it means stays open, and the server keeps no
sessions. So each client is given a name when it greets the server (`Mcp-Session-Id`), which nothing is kept under but
its requests under way. Since 2026-07-28 clients cancel by going away, which needs none of this.
"""

import hashlib
import json
import re
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import anyio
import anyio.to_thread
import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic_core import from_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blaxel_mcp.server.callers import Caller
from blaxel_mcp.server.http.requests import Answer
from blaxel_mcp.server.message_ids import EDGE_BYTES, find_id

SESSION_HEADER = "Mcp-Session-Id"

Cancel = Callable[[bytes], object]
"""Cancels the requests that are known by a key: 32 bytes that tell nothing of who made them."""

_NAME_BYTES = 24
_NAME = re.compile(r"[A-Za-z0-9_-]{32}")
"""What we hand out, 24 bytes in base64; another server's names are passed over."""

_LARGEST_GREETING = 64 * 1024
"""How much is read of a body in search of a greeting, in bytes; it says little more than who greets."""

_MAX_PARSED_BYTES = 64 * 1024
"""The largest body that is parsed on the event loop to find its id, in bytes: that takes less than a millisecond."""

_VERSION_HEADER = "mcp-protocol-version"

_REQUEST_CANCELLED = -32800
"""The code that the SDK answers a cancelled request with, where that is answered at all."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What of a message matters here.

    Attributes:
        kind: What it is.
        request_id: The request that it makes, or cancels.
    """

    kind: Literal["greeting", "request", "cancel", "other"]
    request_id: types.RequestId | None = None


_OTHER = _Said("other")


class Cancelling:
    """The requests under way that their clients can cancel.

    Args:
        most_bytes: The largest body that is looked at.
        elsewhere: Has other processes cancel a request that is not under way in this one.
    """

    def __init__(self, most_bytes: int, elsewhere: Cancel | None = None) -> None:
        self._most_bytes = most_bytes
        self._elsewhere = elsewhere
        # By their keys; a client that gives the same id twice at a time means both.
        self._under_way: dict[anyio.CancelScope, bytes] = {}

    async def carry(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered; if it is cancelled, its answer ends with an error that says so.

        What a message is worth is left to the application: a cancel counts once that has accepted it.

        Args:
            app: Answers the request, and stops what it does for it when it is cancelled.
            scope: The request's; its `state.caller` is who was let in.
            receive: As ASGI has it.
            send: As ASGI has it.
        """
        request = Request(scope)
        session = _session_of(request.headers)
        most = self._most_bytes if session else _LARGEST_GREETING
        if not _is_of_the_handshake_era(request.headers) or _declared_size(request.headers) > most:
            await app(scope, receive, send)
            return
        body = _Body(receive)
        said = await body.said(most)
        if said.kind == "greeting":
            await app(scope, body.receive, _naming(send))
        elif said.kind == "other" or not session:
            await app(scope, body.receive, send)
        else:
            key = _key(request.state.caller, session, said.request_id)
            if said.kind == "request":
                answer = Answer(send)
                if await self._is_cancelled(key, partial(app, scope, body.receive, answer.send)):
                    await _tell(answer, said, scope, receive)
            elif await _is_accepted(app, scope, body.receive, send):
                self._cancel_wherever(key)

    def cancel(self, key: bytes) -> bool:
        """Cancel the requests of this process that are known by a key; whether there are any."""
        found = [under_way for under_way, its_key in self._under_way.items() if its_key == key]
        for under_way in found:
            under_way.cancel()
        return bool(found)

    def _cancel_wherever(self, key: bytes) -> None:
        if not self.cancel(key) and self._elsewhere:
            self._elsewhere(key)

    async def _is_cancelled(self, key: bytes, answer: Callable[[], Awaitable[None]]) -> bool:
        """Answer a request, and return whether it was cancelled before that was done."""
        with anyio.CancelScope() as under_way:
            self._under_way[under_way] = key
            try:
                await answer()
            finally:
                del self._under_way[under_way]
        return under_way.cancelled_caught


class _Body:
    """A request's body: read ahead, looked at, and then there for the application as if nobody had.

    Args:
        receive: As ASGI has it.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[Message] = deque()
        self._size = 0
        self._start = self._end = b""
        self._is_complete = False

    async def receive(self) -> Message:
        """Receive the next message of ASGI. What was read ahead is not kept any longer."""
        return self._ahead.popleft() if self._ahead else await self._receive()

    async def said(self, most: int) -> _Said:
        """Return what the body says, having read at most `most` bytes and one piece of it.

        The SDK parses the body anyway, so a large one is not parsed here as well if its ends show the id. Clients
        put it first or last: by the end, half of them have sent up to 16 MiB.
        """
        await self._read(min(most, _MAX_PARSED_BYTES))
        if self._is_complete and self._size <= _MAX_PARSED_BYTES:
            return self._parsed()
        if self._size <= most and (request_id := find_id(self._start, b"")) is not None:
            return _Said("request", request_id)
        await self._read(most)
        if not self._is_complete:
            return _OTHER
        if (request_id := find_id(b"", self._end)) is not None:
            return _Said("request", request_id)
        return await anyio.to_thread.run_sync(self._parsed)

    async def _read(self, most: int) -> None:
        """Read on until the body is complete or larger than `most`, in bytes."""
        while not self._is_complete and self._size <= most:
            message = await self._receive()
            self._ahead.append(message)
            piece = message.get("body", b"")
            self._size += len(piece)
            if len(self._start) < EDGE_BYTES:
                self._start = (self._start + piece[:EDGE_BYTES])[:EDGE_BYTES]
            self._end = (self._end + piece[-EDGE_BYTES:])[-EDGE_BYTES:]
            self._is_complete = not message.get("more_body", False)

    def _parsed(self) -> _Said:
        """What the complete body says, if it is a message; whether it is one is for others to tell."""
        try:
            return _what_matters(from_json(b"".join(message.get("body", b"") for message in self._ahead)))
        except ValueError:
            return _OTHER


def _what_matters(message: Any) -> _Said:
    match message:
        case {"method": "notifications/cancelled", "params": {"requestId": int() | str() as request_id}}:
            return _Said("cancel", request_id)
        case {"method": "initialize", "id": _}:
            return _Said("greeting")
        case {"method": _, "id": int() | str() as request_id}:
            return _Said("request", request_id)
    return _OTHER


def _is_of_the_handshake_era(headers: Headers) -> bool:
    """Whether the SDK takes a request for one; the header is younger than the era."""
    return headers.get(_VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[0]) in HANDSHAKE_PROTOCOL_VERSIONS


def _declared_size(headers: Headers) -> int:
    """How large a body is said to be, in bytes; 0 where nothing is said."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


def _session_of(headers: Headers) -> str:
    """The name by which the client was greeted; empty for one that was not."""
    given = headers.getlist(SESSION_HEADER)
    return given[0] if len(given) == 1 and _NAME.fullmatch(given[0]) else ""


def _key(caller: Caller, session: str, request_id: types.RequestId | None) -> bytes:
    """What a request is known by. It has the same size however long the id is, and tells 1 from "1"."""
    return hashlib.sha256(json.dumps([caller.identity, session, request_id]).encode()).digest()


def _naming(send: Send) -> Send:
    """Give the client a name with its answer."""

    async def send_with_name(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            MutableHeaders(scope=message)[SESSION_HEADER] = secrets.token_urlsafe(_NAME_BYTES)
        await send(message)

    return send_with_name


async def _is_accepted(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> bool:
    """Have a message answered, and tell whether the answer was that it is accepted."""
    statuses: list[int] = []

    async def send_and_look(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        await send(message)

    await app(scope, receive, send_and_look)
    return statuses == [HTTPStatus.ACCEPTED]


async def _tell(answer: Answer, cancelled: _Said, scope: Scope, receive: Receive) -> None:
    """End the answer to a request that has been cancelled, with an error unless its result is in it already."""
    error = types.ErrorData(code=_REQUEST_CANCELLED, message="Request cancelled")
    message = types.JSONRPCError(jsonrpc="2.0", id=cancelled.request_id, error=error).model_dump_json(
        exclude_unset=True
    )
    event = f"event: message\r\ndata: {message}\r\n\r\n".encode()
    rest = event if answer.is_stream and not _is_final(answer.last_event) else b""
    await answer.end(Response(message, media_type="application/json"), scope, receive, rest=rest)


def _is_final(event: bytes) -> bool:
    """Whether an event is the answer to a request; those before it are notifications, which name a method."""
    data = event.partition(b"data:")[2]
    return bool(data) and "method" not in json.loads(data)
