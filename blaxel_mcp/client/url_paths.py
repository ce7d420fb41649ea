"""Validates the path of a sub-endpoint: it must name exactly one resource below the base URL.

Paths come from agents, and gateways differ in how often they decode a URL. So a path that leaves the
base or names another resource at any depth of decoding is rejected here.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import literal

MAX_PATH_CHARS = 2000
"""The longest path, including its query: some proxies stop at 2 kB with an unhelpful error."""

_MAX_READINGS = 10
"""Each costs as much time as the text is long, and a caller could write thousands of them into one text."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# RFC 3986, sections 3.3 and 3.4; the percent sign keeps existing escapes.
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE = _PATH_SAFE + "?"

_SEPARATORS = {"\\": "a backslash", "/": "an encoded slash", "?": "an encoded question mark", "#": "an encoded '#'"}
"""Characters that separate the parts of a URL, and so must not be escaped."""


@lru_cache(maxsize=64)
def split_path(path: str) -> tuple[str, str]:
    """Split a sub-endpoint, such as `/v1/models?limit=2`, into its path and its query, both ready to be part of a URL.

    The path starts with one slash, or is empty for the base endpoint (`/`); the query has no question mark. Existing
    escapes are kept, missing ones are added.

    Raises:
        InvalidArgumentsError: The path is not clearly below the base endpoint; the message says why.
    """
    raw_path, _, raw_query = path.partition("?")
    problem = _text_problem(path) or path_problem(raw_path) or query_problem(raw_query)
    if problem:
        raise InvalidArgumentsError(
            f"The path {literal(path)} cannot be called: {problem}.",
            hint="Use a path below the model's endpoint, such as '/v1/chat/completions', or '/' for the endpoint.",
        )
    slashed = "/" + raw_path.removeprefix("/")
    return quote(slashed, safe=_PATH_SAFE) if slashed != "/" else "", quote(raw_query, safe=_QUERY_SAFE)


def _text_problem(text: str) -> str | None:
    """Return the problem with the path as a whole; None if there is none."""
    if len(text) > MAX_PATH_CHARS:
        return f"it is longer than {MAX_PATH_CHARS} characters"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it contains half of a surrogate pair"
    if "#" in text:
        return "it contains a '#', and a fragment is never sent"
    if _ABSOLUTE.match(text):
        return "it is a complete URL, and only the server's settings choose the host"
    if _BROKEN_ESCAPE.search(text):
        return "it contains a '%' without two hexadecimal digits; write '%25' for a percent sign"
    return None


def path_problem(path: str) -> str | None:
    """Return why a path, without its query, could name another resource; None if it cannot."""
    if path.startswith("//"):
        return "it begins with two slashes"
    segments = path.removeprefix("/").split("/")
    # A trailing slash is kept: on some servers it names a resource of its own.
    named = segments[:-1] if segments[-1] == "" else segments
    problems = (_segment_problem(reading) for segment in named for reading in _readings(segment))
    try:
        return next((problem for problem in problems if problem), None)
    except ValueError as error:
        return f"its percent escapes {error}"


def _readings(text: str) -> Iterator[str]:
    """Yield the text as servers may read it: undecoded, decoded once, decoded twice, until nothing changes.

    Each reading is also normalized: some servers turn full-width dots, slashes and percent signs into plain ones.

    Raises:
        ValueError: The text cannot be decoded; the message says why, after "its percent escapes".
    """
    for _ in range(_MAX_READINGS):
        yield text
        try:
            decoded = unicodedata.normalize("NFKC", unquote_to_bytes(text).decode())
        except UnicodeDecodeError:
            raise ValueError("are not UTF-8") from None
        if decoded == text:
            return
        text = decoded
    raise ValueError("are encoded too many times")


def _segment_problem(segment: str) -> str | None:
    if _has_control(segment) or any(unicodedata.category(character) == "Cf" for character in segment):
        return "it contains a control or an invisible character"
    for character, name in _SEPARATORS.items():
        if character in segment:
            return f"it contains {name}"
    # Some servers drop path parameters first, and then "..;x" is "..".
    name = segment.partition(";")[0].strip()
    if not name:
        return "it contains an empty segment"
    if not name.strip("."):
        return "it contains a segment of only dots"
    return None


def query_problem(query: str) -> str | None:
    """Return why a URL-encoded query must not be sent; None if it may be."""
    try:
        has_control = any(_has_control(reading) for reading in _readings(query))
    except ValueError as error:
        return f"the percent escapes of its query {error}"
    return "its query contains a control character" if has_control else None


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)
