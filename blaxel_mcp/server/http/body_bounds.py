"""Reject a request body of too many values before it is parsed: the SDK parses it while no other request proceeds."""

from collections import deque

from starlette.types import Message, Receive

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES, ValueCounter
from blaxel_mcp.server.http.errors import too_many_values


async def receive_bounded(receive: Receive, max_bytes: int) -> Receive:
    """Read a body ahead, and return the ASGI callable that receives it from its beginning.

    Args:
        receive: The ASGI callable of the request.
        max_bytes: Where to stop. The application rejects a larger body without parsing it.

    Raises:
        RefusedError: 413, the body has too many values.
    """
    read_ahead: deque[Message] = deque()
    counter, size = ValueCounter(), 0
    while size <= max_bytes:
        message = await receive()
        read_ahead.append(message)
        body = message.get("body", b"")
        size += len(body)
        counter.feed(body)
        if counter.count > MAX_ARGUMENT_VALUES:
            raise too_many_values()
        if not message.get("more_body", False):
            break

    async def replay() -> Message:
        return read_ahead.popleft() if read_ahead else await receive()

    return replay
