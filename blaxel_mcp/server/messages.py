"""JSON-RPC messages of clients, as both transports read them: why one is refused, and its id.

The id of a message that cannot be parsed is found in its first and last bytes. So is that of a large request over HTTP,
which is parsed once, by the SDK.
"""

import json
import re
from codecs import BOM_UTF8
from typing import Any, TypeGuard

import mcp_types as types
from pydantic import ValidationError

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES

BOM = BOM_UTF8
"""The byte order mark, which some programs write first."""

TOO_MANY_VALUES = (
    f"The message has more than {MAX_ARGUMENT_VALUES} values, member names included. Send it in parts, or large data "
    "as text."
)
"""The refusal of a message that would take too long to parse."""

NOT_JSON = (
    "The message is not valid JSON: it is malformed, nested too deeply, not valid Unicode, or has a number of "
    "thousands of digits."
)

NOT_JSON_RPC = (
    'The message is not JSON-RPC 2.0. A request has "jsonrpc": "2.0", a "method" that is a string, and an "id" that is '
    'a string or an integer; a response has the "id" of its request, and a "result" or an "error" that is an object.'
)

EDGE_BYTES = 4096
"""Length of each end of a message that is searched for the id."""

# The character after the id proves that the edge has not truncated it.
_ID = rb'"id"\s*:\s*("(?:[^"\\]|\\.){0,1200}"|-?\d{1,18})(?=[\s,}])'
# Only members with a plain string or a bare word may precede it: an `id` nested in `params` is not the message's.
_FIRST_MEMBERS = rb'\s*\{\s*(?:"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,\s*)*?'
_ID_NEAR_START = re.compile(_FIRST_MEMBERS + _ID)
_ID_AT_END = re.compile(rb"[,{]\s*" + _ID + rb"\s*\}\s*\Z")


class InvalidMessageError(Exception):
    """A message that is answered with this error.

    Attributes:
        code: The code of JSON-RPC.
        request_id: The id of the message; None if it has none, or none that is valid.
    """

    def __init__(
        self, message: str, *, code: int = types.INVALID_REQUEST, request_id: types.RequestId | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


def as_message(content: Any) -> types.JSONRPCMessage:
    """Return parsed JSON as a message; raises InvalidMessageError if it is none.

    Ids that are written as floats, such as `7.0`, become integers in place.
    """
    fields = content if isinstance(content, dict) else {}
    if "id" in fields:
        fields["id"] = _as_id(fields["id"])
    match content:
        case {"method": "notifications/cancelled", "params": {"requestId": number} as params}:
            params["requestId"] = _as_id(number)
    request_id = fields.get("id")
    valid_id = request_id if is_id(request_id) else None
    try:
        message = types.jsonrpc_message_adapter.validate_python(content, by_name=False)
    except ValidationError:
        raise InvalidMessageError(_problem(content), request_id=valid_id) from None
    # The SDK takes a request with another kind of id for a notification, and would not answer. Some libraries write
    # `"id": null` into a notification.
    is_notification = isinstance(message, types.JSONRPCNotification) and message.method.startswith("notifications/")
    if "id" in fields and valid_id is None and not (is_notification and request_id is None):
        raise InvalidMessageError("The `id` of a request must be a string or an integer.")
    return message


def _as_id(value: Any) -> Any:
    """Return a whole number that is written as a float, as some languages write every number, as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _problem(content: Any) -> str:
    match content:
        case list():
            return "Batches are not supported: send each message on its own."
        case {"jsonrpc": "2.0", "method": str(), "params": _}:
            return "`params` must be an object of named parameters."
    return NOT_JSON_RPC


def find_id(start: bytes, end: bytes) -> types.RequestId | None:
    """Return the id that the first and the last `EDGE_BYTES` of a message show, or None.

    In valid JSON with unique keys, the result is the message's own `id`, never one nested in it. None means only that
    the ends do not show it: the id may be further inside, or longer than the patterns allow.
    """
    match = _ID_NEAR_START.match(start[:EDGE_BYTES]) or _ID_AT_END.search(end[-EDGE_BYTES:])
    if match is None:
        return None
    try:
        request_id: types.RequestId = json.loads(match[1])
        # Half of a surrogate pair, which an escape can spell, could not be written back.
        str(request_id).encode()
    except ValueError:
        return None
    return request_id


def is_id(value: Any) -> TypeGuard[types.RequestId]:
    """Return whether a value can be the id of a request: a string or an integer."""
    return isinstance(value, int | str) and not isinstance(value, bool)
