"""Read JSON-RPC frames, one on each line, within a size limit, and answer invalid ones.

The SDK's `stdio_server` has no limit, and leaves three of four invalid frames unanswered (not JSON, a batch, no
`jsonrpc`), so a client would wait forever. Here each frame that needs an answer gets one (JSON-RPC 2.0, section 5.1).
"""

import json
import math
from collections import deque
from contextlib import suppress
from typing import Any

import mcp_types as types
from pydantic_core import from_json

from blaxel_mcp.core import json_text
from blaxel_mcp.server.messages import (
    BOM,
    EDGE_BYTES,
    NOT_JSON,
    TOO_MANY_VALUES,
    InvalidMessageError,
    as_message,
    find_id,
)

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
            self._lines.append(_refusal(InvalidMessageError(message, request_id=find_id(start, line))))
        # Some programs write a byte order mark first.
        elif line.removeprefix(BOM).strip():
            self._lines.append(line)
            self.waiting_bytes += len(line)


def read_frame(line: bytes) -> types.JSONRPCMessage | types.JSONRPCError:
    """Return a frame as a message, or the error to answer it with."""
    try:
        return as_message(_parse(line.removeprefix(BOM)))
    except InvalidMessageError as error:
        return _refusal(error)


def _parse(line: bytes) -> Any:
    if not json_text.has_few_values(line):
        raise InvalidMessageError(TOO_MANY_VALUES, request_id=find_id(line, line))
    try:
        # In one step, `validate_json` would parse it for each kind of message: twice the time and memory.
        return from_json(line)
    except ValueError as error:
        if "number out of range" in str(error):
            # An integer of thousands of digits is read as infinity, which the validation of arguments names.
            with suppress(ValueError, RecursionError):
                return json.loads(line, parse_int=lambda text: int(text) if len(text) <= _MAX_DIGITS else math.inf)
    raise InvalidMessageError(NOT_JSON, code=types.PARSE_ERROR, request_id=find_id(line, line))


def is_refusal(frame: types.JSONRPCMessage | types.JSONRPCError) -> bool:
    """Return whether the result of `take` is our error for an invalid frame, not an error that a client has sent."""
    return isinstance(frame, _Refusal)


class _Refusal(types.JSONRPCError):
    pass


def _refusal(error: InvalidMessageError) -> _Refusal:
    data = types.ErrorData(code=error.code, message=str(error))
    return _Refusal(jsonrpc="2.0", id=error.request_id, error=data)
