"""Read a request body ahead, before the SDK parses it: its bounds, a byte order mark, and the message's id."""

from collections import deque

import anyio.to_thread
from pydantic_core import from_json
from starlette.types import Message, Receive

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES, ValueCounter
from blaxel_mcp.server.http.errors import invalid_id, too_many_values
from blaxel_mcp.server.message_ids import BOM, EDGE_BYTES, find_id, is_id, may_have_odd_id, with_integer_id

_MAX_PARSED_BYTES = 64 * 1024
"""The largest body that is parsed here for its id; in a larger one, only its ends are searched."""


class ReadBody:
    """A request body that is read ahead, and received by the application from its beginning.

    Args:
        messages: The ASGI messages that have been received.
        receive: The ASGI callable of the request.
    """

    def __init__(self, messages: deque[Message], receive: Receive) -> None:
        self._messages = messages
        self._receive = receive
        body = b"".join(message.get("body", b"") for message in messages)
        self._start, self._end = body[:EDGE_BYTES], body[-EDGE_BYTES:]
        self._whole = body if len(body) <= _MAX_PARSED_BYTES else None

    async def receive(self) -> Message:
        """Receive the next ASGI message; messages that were read ahead are released."""
        return self._messages.popleft() if self._messages else await self._receive()

    def request_id(self) -> int | str | None:
        """Return the id of the request in the body; None if it has none, or does not show it."""
        if self._whole is None:
            return find_id(self._start, self._end)
        try:
            content = from_json(self._whole)
        except ValueError:
            return None
        value = content.get("id") if isinstance(content, dict) else None
        return value if is_id(value) else None


async def read_body(receive: Receive, max_bytes: int) -> ReadBody:
    """Read a body ahead.

    A byte order mark is dropped, and an id that is written as a float, such as `7.0`, becomes an integer: the SDK
    would take the request for a notification and not answer it.

    Args:
        receive: The ASGI callable of the request.
        max_bytes: Where to stop. The application rejects a larger body without parsing it.

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
            raise too_many_values()
        is_complete = not message.get("more_body", False)
    first = messages[0].get("body", b"")
    if first.startswith(BOM):
        messages[0] = {**messages[0], "body": first.removeprefix(BOM)}
    if is_complete:
        await _repair_id(messages, size)
    return ReadBody(messages, receive)


async def _repair_id(messages: deque[Message], size: int) -> None:
    chunks = [message.get("body", b"") for message in messages]
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    ends = (body,) if size <= _MAX_PARSED_BYTES else (body[:EDGE_BYTES], body[-EDGE_BYTES:])
    if not any(map(may_have_odd_id, ends)):
        return
    try:
        if size <= _MAX_PARSED_BYTES:
            repaired = with_integer_id(body)
        else:
            repaired = await anyio.to_thread.run_sync(with_integer_id, body)
    except ValueError:
        raise invalid_id() from None
    if repaired is not body and messages[-1]["type"] == "http.request":
        messages.clear()
        messages.append({"type": "http.request", "body": repaired, "more_body": False})
