"""The raw request path, segment by segment, before any decoding could change its meaning."""

import re
from urllib.parse import unquote

_MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_ENCODING_DEPTH = 5
"""How often a segment is decoded in search of a hidden dot segment."""


def path_segments(raw_path: bytes) -> tuple[str, ...] | None:
    """Return the decoded segments of a raw path; None when it must be refused.

    Refused are dot segments and backslashes in any encoding, empty segments but a last
    one, control characters and malformed escapes.
    """
    raw_segments = raw_path.decode("latin-1").removeprefix("/").split("/")
    if "" in raw_segments[:-1]:
        return None
    segments = tuple(_decoded(segment) for segment in raw_segments)
    if not all(_is_safe(segment) for segment in raw_segments):
        return None
    return segments


def _is_safe(raw_segment: str) -> bool:
    if not raw_segment.isascii() or _MALFORMED_ESCAPE.search(raw_segment):
        return False
    segment = raw_segment
    for _ in range(_ENCODING_DEPTH):
        if _is_hostile(segment):
            return False
        segment = _decoded(segment)
    return segment == _decoded(segment)


def _is_hostile(segment: str) -> bool:
    if "\\" in segment or "\ufffd" in segment or _CONTROL.search(segment):
        return True
    return any(part.split(";")[0] in {".", ".."} for part in segment.split("/"))


def _decoded(segment: str) -> str:
    return unquote(segment, encoding="utf-8", errors="replace")
