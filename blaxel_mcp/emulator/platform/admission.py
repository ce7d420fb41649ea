"""The checks that Blaxel makes of each request: of its path, its credentials and its workspace."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from starlette.requests import Request

from blaxel_mcp.emulator.platform.errors import RefusalError
from blaxel_mcp.emulator.platform.state import Emulator

_MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_MAX_ENCODINGS = 5
"""Number of times that a segment is decoded in search of a hidden dot segment."""


def path_segments(raw_path: bytes) -> tuple[str, ...] | None:
    """Return the decoded segments of a raw path; None when the path must be refused.

    A path is refused if it has dot segments or backslashes in any encoding, empty segments other
    than the last one, control characters or malformed escapes.
    """
    raw_segments = raw_path.decode("latin-1").removeprefix("/").split("/")
    if "" in raw_segments[:-1] or not all(_is_unambiguous(segment) for segment in raw_segments):
        return None
    return tuple(_decoded_once(segment) for segment in raw_segments)


def _is_unambiguous(raw_segment: str) -> bool:
    if not raw_segment.isascii() or _MALFORMED_ESCAPE.search(raw_segment):
        return False
    segment = raw_segment
    for _ in range(_MAX_ENCODINGS):
        if "\\" in segment or "\ufffd" in segment or _CONTROL.search(segment):
            return False
        if any(part.split(";")[0] in {".", ".."} for part in segment.split("/")):
            return False
        segment = _decoded_once(segment)
    return segment == _decoded_once(segment)


def _decoded_once(segment: str) -> str:
    return unquote(segment, encoding="utf-8", errors="replace")


AUTHENTICATION_HEADERS = ("x-blaxel-authorization", "authorization")
WORKSPACE_HEADER = "x-blaxel-workspace"

Refuse = Callable[[str, str], RefusalError]
"""Makes the error of a code and a message; gateway and control plane each have their own envelope."""


def authenticate(request: Request, emulator: Emulator, refuse: Refuse) -> None:
    """Check that the request carries exactly one accepted bearer token.

    Either of the two headers is accepted, but not both: Blaxel's SDK adapters remove the second one because the gateway
    answers 401 to it.
    """
    values = [value for name in AUTHENTICATION_HEADERS for value in request.headers.getlist(name)]
    if not values:
        raise refuse("AUTHENTICATION_REQUIRED", "The request carries no credentials.")
    if len(values) > 1:
        raise refuse("AUTHENTICATION_FAILED", "The request carries more than one authorization header.")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        raise refuse("AUTHENTICATION_FAILED", "The credentials are not a bearer token.")
    if token.strip() in emulator.api_keys:
        return
    record = emulator.tokens.get(token.strip())
    if record is None:
        raise refuse("AUTHENTICATION_FAILED", "The API key or access token is not known.")
    if record.revoked:
        raise refuse("TOKEN_REVOKED", "The access token has been revoked.")
    if record.expires_at <= emulator.now():
        raise refuse("AUTHENTICATION_FAILED", "The access token has expired.")


def check_workspaces(names: list[str], emulator: Emulator, refuse: Refuse) -> None:
    """Check that the names in a request are those of one workspace, and that its caller may use it."""
    if not names:
        raise refuse("WORKSPACE_REQUIRED", "The request names no workspace.")
    if len(set(names)) > 1 or names[0] not in emulator.workspaces:
        raise refuse("UNAUTHORIZED_WORKSPACE", "The credentials do not belong to the workspace.")
