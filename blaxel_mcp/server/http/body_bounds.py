"""Read a request body ahead, before the SDK parses it, and refuse one that is too large or not a message.

The SDK answers such bodies with pydantic's errors about its models, or does not say what is wrong.
"""

import json
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import anyio.to_thread
from mcp_types import PARSE_ERROR, JSONRPCNotification, JSONRPCRequest, RequestId
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES, ValueCounter
from blaxel_mcp.server.http.errors import RefusedError
from blaxel_mcp.server.messages import (
    BOM,
    NOT_JSON,
    NOT_JSON_RPC,
    TOO_MANY_VALUES,
    InvalidMessageError,
    as_message,
    find_id,
    is_id,
)

_MAX_PARSED_BYTES = 64 * 1024
"""The largest body that is parsed on the event loop; this takes less than a millisecond."""


@dataclass(slots=True)
class ReadBody:
    """A request body that is read ahead, and received by the application from its beginning.

    Attributes:
        kind: The kind of message; "other" also for an incomplete or invalid one.
        request_id: The id of the request that the message makes or cancels.
        is_valid: Whether it is known to be a JSON-RPC message: a large one, and one that is not JSON, are not.
    """

    _messages: deque[Message]
    _receive: Receive
    kind: Literal["initialize", "request", "cancel", "other"] = "other"
    request_id: RequestId | None = None
    is_valid: bool = False

    async def receive(self) -> Message:
        """Receive the next ASGI message; messages that were read ahead are released."""
        return self._messages.popleft() if self._messages else await self._receive()


async def read_body(receive: Receive, max_bytes: int) -> ReadBody:
    """Read a body ahead.

    A byte order mark is dropped, and an id that is written as a float, such as `7.0`, becomes an integer: the SDK would
    take the request for a notification and not answer it.

    Raises:
        RefusedError: 413, the body has more than `max_bytes` or too many values; 400, it is not a message.
        ClientDisconnect: The client has left within it.
    """
    messages: deque[Message] = deque()
    counter, size, is_complete = ValueCounter(), 0, False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        messages.append(message)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            description = f"The message has more bytes than limits.max_argument_bytes ({max_bytes}) allows."
            raise RefusedError(413, "content_too_large", description)
        counter.feed(chunk)
        if counter.count > MAX_ARGUMENT_VALUES:
            raise RefusedError(413, "content_too_large", TOO_MANY_VALUES)
        is_complete = not message.get("more_body", False)
    first = messages[0].get("body", b"")
    if first.startswith(BOM):
        messages[0] = {**messages[0], "body": first.removeprefix(BOM)}
    body = ReadBody(messages, receive)
    await _inspect(body, messages)
    return body


async def _inspect(body: ReadBody, messages: deque[Message]) -> None:
    """Set the kind and the id. A large message is parsed only if neither end shows its id, and then in a thread."""
    text = b"".join(message.get("body", b"") for message in messages)
    try:
        if len(text) <= _MAX_PARSED_BYTES:
            _parse(body, text, messages)
        elif (request_id := find_id(text, text)) is not None:
            body.kind, body.request_id = "request", request_id
        else:
            await anyio.to_thread.run_sync(_parse, body, text, messages)
    except InvalidMessageError as error:
        raise _refusal(error) from None


def _parse(body: ReadBody, text: bytes, messages: deque[Message]) -> None:
    try:
        content = from_json(text)
    except ValueError:
        # The SDK may accept it, such as half a surrogate pair; `with_clear_refusals` words its refusal.
        body.request_id = find_id(text, text)
        return
    has_float_id = isinstance(content, dict) and isinstance(content.get("id"), float)
    message = as_message(content)
    body.is_valid = True
    match message:
        case JSONRPCNotification(method="notifications/cancelled", params={"requestId": value}) if is_id(value):
            body.kind, body.request_id = "cancel", value
        case JSONRPCRequest():
            body.kind = "initialize" if message.method == "initialize" else "request"
            body.request_id = message.id
    if has_float_id:
        # Of two members with one name, the last one counts.
        repaired = text.rstrip().removesuffix(b"}") + b',"id":%d}' % content["id"]
        messages.clear()
        messages.append({"type": "http.request", "body": repaired, "more_body": False})


def _refusal(error: InvalidMessageError) -> RefusedError:
    return RefusedError(400, "invalid_request", str(error), code=error.code, request_id=error.request_id)


def with_clear_refusals(send: Send, request_id: RequestId | None) -> Send:
    """Return a `send` that words the SDK's refusal of a body that is not a message as this server does."""
    start: Message | None = None

    async def send_clearly(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.BAD_REQUEST:
            start = message
            return
        if start is not None:
            error = json.loads(message["body"])["error"]
            refused: InvalidMessageError | None = None
            if error["code"] == PARSE_ERROR:
                refused = InvalidMessageError(NOT_JSON, code=PARSE_ERROR, request_id=request_id)
            elif error["message"].startswith("Validation error"):
                refused = InvalidMessageError(NOT_JSON_RPC, request_id=request_id)
            if refused:
                response = _refusal(refused).response()
                start["headers"], message["body"] = response.raw_headers, response.body
            await send(start)
        await send(message)

    return send_clearly
