"""The raw request path, segment by segment, before decoding can change its meaning."""

import re
from urllib.parse import unquote

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
