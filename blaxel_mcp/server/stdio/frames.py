"""Read JSON-RPC frames, one on each line, within a size limit, and answer invalid ones.

The SDK's `stdio_server` has no limit, and leaves three of four invalid frames unanswered (not JSON, a batch, no
`jsonrpc`), so a client would wait forever. Here each frame that needs an answer gets one (JSON-RPC 2.0, section 5.1).
"""

import json
import math
from collections import deque
from typing import Any

import mcp_types as types
from pydantic import ValidationError
from pydantic_core import from_json

from blaxel_mcp.core import json_text
from blaxel_mcp.server.message_ids import BOM, EDGE_BYTES, TOO_MANY_VALUES, find_id, is_id

_MAX_DIGITS = 1000


class FrameBuffer:
    """Splits input into frames, which are parsed when they are taken.

    Args:
        limit: The maximum size of a frame with its line end, in bytes. Of a longer one, only the ends are kept.

    Attributes:
        waiting_bytes: The size of the complete frames that have not been taken.
    """

    def __init__(self, *, limit: int) -> None:
        self.waiting_bytes = 0
        self._limit = limit
        self._lines: deque[bytes | types.JSONRPCError] = deque()
        self._partial = bytearray()
        self._size = 0
        self._start = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the input; none are its end."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._extend(line, size=len(line) + 1)
            self._complete()
        self._extend(rest, size=len(rest))
        if not data:
            self._complete()

    def take(self) -> types.JSONRPCMessage | types.JSONRPCError | None:
        """Return the next message, or the error to answer an invalid frame with; None if no frame is complete."""
        if not self._lines:
            return None
        line = self._lines.popleft()
        if not isinstance(line, bytes):
            return line
        self.waiting_bytes -= len(line)
        return read_frame(line)

    def _extend(self, piece: bytes, *, size: int) -> None:
        self._size += size
        self._partial += piece
        if self._size > self._limit:
            self._start = self._start or bytes(self._partial[:EDGE_BYTES])
            del self._partial[:-EDGE_BYTES]

    def _complete(self) -> None:
        line, size, start = bytes(self._partial), self._size, self._start
        self._partial, self._size, self._start = bytearray(), 0, b""
        if size > self._limit:
            message = f"The message has {size} bytes, more than limits.max_argument_bytes ({self._limit}) allows."
            self._lines.append(_refusal(types.INVALID_REQUEST, message, find_id(start, line)))
        # Some programs write a byte order mark first.
        elif line.removeprefix(BOM).strip():
            self._lines.append(line)
            self.waiting_bytes += len(line)


def read_frame(line: bytes) -> types.JSONRPCMessage | types.JSONRPCError:
    """Return a frame as a message, or the error to answer it with."""
    if not json_text.has_few_values(line):
        return _refusal(
            types.INVALID_REQUEST,
            TOO_MANY_VALUES,
            find_id(line[:EDGE_BYTES], line[-EDGE_BYTES:]),
        )
    line = line.removeprefix(BOM)
    try:
        # In one step, `validate_json` would parse it for each kind of message: twice the time and memory.
        content = from_json(line)
    except ValueError as error:
        try:
            content = None
            if "number out of range" in str(error):
                # An integer of thousands of digits is read as infinity, which the validation of arguments names.
                content = json.loads(line, parse_int=lambda text: int(text) if len(text) <= _MAX_DIGITS else math.inf)
        except (ValueError, RecursionError):
            content = None
        if content is None:
            return _refusal(
                types.PARSE_ERROR,
                "The message is not valid JSON: it is malformed, nested too deeply, or not valid Unicode.",
                find_id(line[:EDGE_BYTES], line[-EDGE_BYTES:]),
            )
    has_id = isinstance(content, dict) and "id" in content
    request_id = content["id"] if has_id else None
    if isinstance(request_id, float) and request_id.is_integer():
        # Some languages write every number like this.
        content["id"] = request_id = int(request_id)
    match content:
        case {"method": "notifications/cancelled", "params": {"requestId": float() as number} as params} if (
            number.is_integer()
        ):
            params["requestId"] = int(number)
    try:
        message = types.jsonrpc_message_adapter.validate_python(content, by_name=False)
    except ValidationError:
        return _invalid(content)
    # The SDK takes a request with another kind of id for a notification, and would not answer. Some libraries write
    # `"id": null` into a notification.
    is_notification = isinstance(message, types.JSONRPCNotification) and message.method.startswith("notifications/")
    return message if not has_id or is_id(request_id) or (is_notification and request_id is None) else _invalid(content)


def _invalid(content: Any) -> types.JSONRPCError:
    if isinstance(content, list):
        return _refusal(types.INVALID_REQUEST, "Batches are not supported: send each message on a line of its own.")
    message = content if isinstance(content, dict) else {}
    request_id = message.get("id")
    has_id = is_id(request_id)
    if has_id and isinstance(message.get("method"), str) and not isinstance(message.get("params"), dict | None):
        return _refusal(types.INVALID_REQUEST, "`params` must be an object of named parameters.", request_id)
    return _refusal(
        types.INVALID_REQUEST,
        'The message is not JSON-RPC 2.0: it needs "jsonrpc": "2.0", a "method" or a "result", and an "id" that is a '
        "string or an integer.",
        request_id if has_id else None,
    )


def is_refusal(frame: types.JSONRPCMessage | types.JSONRPCError) -> bool:
    """Return whether the result of `take` is our error for an invalid frame, not an error that a client has sent."""
    return isinstance(frame, _Refusal)


class _Refusal(types.JSONRPCError):
    pass


def _refusal(code: int, message: str, request_id: types.RequestId | None = None) -> _Refusal:
    return _Refusal(jsonrpc="2.0", id=request_id, error=types.ErrorData(code=code, message=message))
