"""Read a request body ahead, before the SDK parses it: its bounds, a byte order mark, and the message's id."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import anyio.to_thread
from mcp_types import INVALID_REQUEST, RequestId
from pydantic_core import from_json
from starlette.types import Message, Receive

from blaxel_mcp.core.json_pointer import locate
from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES, ValueCounter
from blaxel_mcp.server.http.errors import RefusedError
from blaxel_mcp.server.message_ids import BOM, EDGE_BYTES, TOO_MANY_VALUES, find_id, integer_of, is_id

_MAX_PARSED_BYTES = 64 * 1024
"""The largest body that is parsed on the event loop; this takes less than a millisecond."""


@dataclass(slots=True)
class ReadBody:
    """A request body that is read ahead, and received by the application from its beginning.

    Attributes:
        kind: The kind of message; "other" also for an incomplete or invalid one.
        request_id: The id of the request that the message makes or cancels.
    """

    _messages: deque[Message]
    _receive: Receive
    kind: Literal["initialize", "request", "cancel", "other"] = "other"
    request_id: RequestId | None = None

    async def receive(self) -> Message:
        """Receive the next ASGI message; messages that were read ahead are released."""
        return self._messages.popleft() if self._messages else await self._receive()


async def read_body(receive: Receive, max_bytes: int) -> ReadBody:
    """Read a body ahead, until it is larger than `max_bytes`: the application rejects it then without parsing it.

    A byte order mark is dropped, and an id that is written as a float, such as `7.0`, becomes an integer: the SDK would
    take the request for a notification and not answer it.

    Raises:
        RefusedError: 413, the body has too many values; 400, its id is invalid.
    """
    messages: deque[Message] = deque()
    counter, size, is_complete = ValueCounter(), 0, False
    while size <= max_bytes and not is_complete:
        message = await receive()
        messages.append(message)
        chunk = message.get("body", b"")
        size += len(chunk)
        counter.feed(chunk)
        if counter.count > MAX_ARGUMENT_VALUES:
            raise RefusedError(413, "content_too_large", TOO_MANY_VALUES)
        is_complete = not message.get("more_body", False)
    first = messages[0].get("body", b"")
    if first.startswith(BOM):
        messages[0] = {**messages[0], "body": first.removeprefix(BOM)}
    body = ReadBody(messages, receive)
    if is_complete and messages[-1]["type"] == "http.request":
        await _inspect(body, messages)
    return body


async def _inspect(body: ReadBody, messages: deque[Message]) -> None:
    """Set the kind and the id. A large message is parsed only if neither end shows its id, and then in a thread."""
    text = b"".join(message.get("body", b"") for message in messages)
    if len(text) <= _MAX_PARSED_BYTES:
        _parse(body, text, messages)
    elif (request_id := find_id(text[:EDGE_BYTES], text[-EDGE_BYTES:])) is not None:
        body.kind, body.request_id = "request", request_id
    else:
        await anyio.to_thread.run_sync(_parse, body, text, messages)


def _parse(body: ReadBody, text: bytes, messages: deque[Message]) -> None:
    try:
        content = from_json(text)
    except ValueError:
        return
    match content:
        case {"method": "notifications/cancelled", "params": {"requestId": value}} if is_id(integer_of(value)):
            body.kind, body.request_id = "cancel", integer_of(value)
        case {"method": str() as method, "id": value} if is_id(integer_of(value)):
            body.kind, body.request_id = "initialize" if method == "initialize" else "request", integer_of(value)
    if isinstance(content, dict) and "id" in content and not is_id(content["id"]):
        _repair_id(content["id"], content.get("method"), text, messages)


def _repair_id(value: Any, method: Any, text: bytes, messages: deque[Message]) -> None:
    """Write an id such as `7.0` as an integer: some languages write every number as a float."""
    if is_id(integer_of(value)):
        decoded = text.decode()
        place = locate(decoded, "/id")
        repaired = f"{decoded[: place.start]}{integer_of(value)}{decoded[place.stop :]}"
        messages.clear()
        messages.append({"type": "http.request", "body": repaired.encode(), "more_body": False})
    # Some libraries write `"id": null` into a notification.
    elif isinstance(method, str) and not (value is None and method.startswith("notifications/")):
        description = "The `id` of a request must be a string or an integer."
        raise RefusedError(400, "invalid_request", description, code=INVALID_REQUEST)
