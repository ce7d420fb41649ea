"""Finds the id of a JSON-RPC message in its first and last bytes.

The stdio transport answers a frame that it cannot parse by this id. The HTTP transport registers large requests by
it: they are parsed once, by the SDK.
"""

import json
import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, TypeGuard

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES

if TYPE_CHECKING:
    from mcp_types import RequestId

BOM = BOM_UTF8
"""The byte order mark, which some programs write first."""

TOO_MANY_VALUES = (
    f"The message has more than {MAX_ARGUMENT_VALUES} values, member names included. Send it in parts, or large data "
    "as text."
)
"""The refusal of a message that would take too long to parse."""

EDGE_BYTES = 4096
"""Length of each end of a message that is searched for the id."""

# The character after the id proves that the edge has not truncated it.
_ID = rb'"id"\s*:\s*("(?:[^"\\]|\\.){0,1200}"|-?\d{1,18})(?=[\s,}])'
# Only members with a plain string or a bare word may precede it: an `id` nested in `params` is not the message's.
_FIRST_MEMBERS = rb'\s*\{\s*(?:"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,\s*)*?'
_ID_NEAR_START = re.compile(_FIRST_MEMBERS + _ID)
_ID_AT_END = re.compile(rb"[,{]\s*" + _ID + rb"\s*\}\s*\Z")


def find_id(start: bytes, end: bytes) -> "RequestId | None":
    """Return the id that the first and the last `EDGE_BYTES` of a message show, or None.

    In valid JSON with unique keys, the result is the message's own `id`, never one nested in it. None means only that
    the ends do not show it: the id may be further inside, or longer than the patterns allow.
    """
    match = _ID_NEAR_START.match(start) or _ID_AT_END.search(end)
    if match is None:
        return None
    try:
        request_id: RequestId = json.loads(match[1])
        # Half of a surrogate pair, which an escape can spell, could not be written back.
        str(request_id).encode()
    except ValueError:
        return None
    return request_id


def is_id(value: Any) -> TypeGuard["RequestId"]:
    """Return whether a value can be the id of a request: a string or an integer."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def integer_of(value: Any) -> Any:
    """Return a whole number that is written as a float, such as `7.0`, as an integer; any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
