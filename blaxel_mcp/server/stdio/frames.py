"""JSON-RPC frames, one a line: read within a limit, and refused with an answer where they are none.

The SDK's own stdio transport passes over what it cannot parse, and a client would wait for an answer for
ever. Here each frame that asks for an answer gets one (JSON-RPC 2.0, section 5.1; MCP, transports, stdio).
"""

import json
from typing import BinaryIO

import mcp_types as types
from pydantic import ValidationError

from blaxel_mcp.server.message_ids import EDGE_BYTES, find_id

_DISCARD_BYTES = 64 * 1024


class FrameReader:
    """Reads frames off a binary stream. It blocks: call it in a thread.

    Args:
        source: Where they come from.
        limit: The largest frame that is taken, in bytes.
    """

    def __init__(self, source: BinaryIO, *, limit: int) -> None:
        self._source = source
        self._limit = limit

    def read(self) -> types.JSONRPCMessage | types.JSONRPCError | None:
        """The next frame, or the answer to one that cannot be taken; None at the end of input.

        Raises:
            OSError: the stream cannot be read any more.
        """
        while line := self._source.readline(self._limit + 1):
            if len(line) > self._limit:
                return self._too_large(line)
            if line.strip():
                return read_frame(line)
        return None

    def _too_large(self, begin: bytes) -> types.JSONRPCError:
        """Pass over the rest of a line, and answer by the id that its ends show."""
        end, size = begin[-EDGE_BYTES:], len(begin)
        while not end.endswith(b"\n") and (piece := self._source.readline(_DISCARD_BYTES)):
            end, size = (end + piece)[-EDGE_BYTES:], size + len(piece)
        return _refused(
            types.INVALID_REQUEST,
            f"The frame has {size} bytes, more than the {self._limit} of limits.max_argument_bytes; it was not read.",
            find_id(begin[:EDGE_BYTES], end),
        )


def read_frame(line: bytes) -> types.JSONRPCMessage | types.JSONRPCError:
    """A frame as a message, or the answer to one that is none."""
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False, include_context=False)[0]["type"] == "json_invalid":
            return _not_json(line)
        return _not_a_message(line)


def is_refusal(frame: types.JSONRPCMessage | types.JSONRPCError) -> bool:
    """Whether a frame that was read is our answer to one that could not be taken."""
    return isinstance(frame, _Refusal)


class _Refusal(types.JSONRPCError):
    """Tells our answer from an error that a client has sent."""


def _not_json(line: bytes) -> _Refusal:
    return _refused(
        types.PARSE_ERROR,
        "The frame is not JSON in UTF-8 that can be read: it is malformed, nests too deeply or holds half a character.",
        find_id(line[:EDGE_BYTES], line[-EDGE_BYTES:]),
    )


def _not_a_message(line: bytes) -> _Refusal:
    value = json.loads(line)
    if isinstance(value, list):
        return _refused(types.INVALID_REQUEST, "Batches are not taken: send each message as a frame of its own.", None)
    found = value.get("id") if isinstance(value, dict) else None
    is_id = isinstance(found, int | str) and not isinstance(found, bool)
    return _refused(
        types.INVALID_REQUEST,
        'The frame is not a JSON-RPC 2.0 message: it needs "jsonrpc": "2.0", a "method" or an answer, and an "id" '
        "that is a string or a whole number.",
        found if is_id else None,
    )


def _refused(code: int, message: str, request_id: types.RequestId | None) -> _Refusal:
    return _Refusal(jsonrpc="2.0", id=request_id, error=types.ErrorData(code=code, message=message))
