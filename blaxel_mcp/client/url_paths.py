"""The sub-endpoint that a caller names, held to what can only mean one resource below the base.

A path comes from an agent. Gateways differ in how often they decode a URL, so whatever would
leave the base, or name another resource, at any depth of decoding is refused here rather than
argued about there.
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import literal

MAX_PATH_CHARS = 2000
"""Longest path that is sent, its query included: some proxies end at 2 kB and say so badly."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# RFC 3986, sections 3.3 and 3.4; the percent sign stands for the escapes that are there already.
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE = _PATH_SAFE + "?"

_SEPARATORS = {
    "\\": "a backslash",
    "/": "an encoded slash",
    "?": "an encoded question mark",
    "#": "an encoded '#'",
}
"""What cuts a URL, and so must not come out of an escape."""


def split_path(path: str) -> tuple[str, str]:
    """Split a sub-endpoint into its path and its query, both ready to be put into a URL.

    Args:
        path: Such as `/v1/chat/completions`, `v1/models?limit=2`, or `/` for the base endpoint.

    Returns:
        The path, with one slash before it or empty for the base endpoint, and the query without
        its question mark. Escapes stay as they were given; what needs one has one.

    Raises:
        InvalidArgumentsError: The path is not plainly one below the base endpoint; the message
            says what is wrong with it.
    """
    problem = _text_problem(path)
    raw_path, _, raw_query = path.partition("?")
    problem = problem or path_problem(raw_path) or _query_problem(raw_query)
    if problem:
        raise InvalidArgumentsError(
            f"The path {literal(path)} cannot be called: {problem}.",
            hint="Give one below the model's endpoint, such as '/v1/chat/completions', or '/' for the endpoint itself.",
        )
    slashed = "/" + raw_path.removeprefix("/")
    return quote(slashed, safe=_PATH_SAFE) if slashed != "/" else "", quote(raw_query, safe=_QUERY_SAFE)


def _text_problem(text: str) -> str | None:
    """Look for what is wrong anywhere, before the text is taken apart."""
    if len(text) > MAX_PATH_CHARS:
        return f"it is longer than {MAX_PATH_CHARS} characters"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it holds half of a surrogate pair"
    if "#" in text:
        return "it holds a '#', and a fragment is never sent"
    if _ABSOLUTE.match(text):
        return "it is a whole URL, and the server's settings decide which host is called"
    if _BROKEN_ESCAPE.search(text):
        return "it holds a '%' that no two hexadecimal digits follow; write '%25' for a percent sign"
    return None


def path_problem(path: str) -> str | None:
    """Say what would let a path, which holds no query, be read as another resource; None when nothing would."""
    if path.startswith("//"):
        return "it begins with two slashes"
    segments = path.removeprefix("/").split("/")
    # One slash at the end is a resource of its own on some servers, so it is kept.
    named = segments[:-1] if segments[-1] == "" else segments
    problems = (_segment_problem(segment) for segment in named)
    return next((problem for problem in problems if problem), None)


def _segment_problem(segment: str) -> str | None:
    try:
        readings = list(_readings(segment))
    except UnicodeDecodeError:
        return "its percent escapes are not UTF-8"
    problems = (_reading_problem(reading) for reading in readings)
    return next((problem for problem in problems if problem), None)


def _readings(text: str) -> Iterator[str]:
    """Yield the text as servers may read it: decoded not at all, once, twice, and so on to the end.

    Each reading is normalised as well, since full-width dots, slashes and percent signs become
    plain ones where a server does that.
    """
    while True:
        yield text
        decoded = unicodedata.normalize("NFKC", unquote_to_bytes(text).decode())
        if decoded == text:
            return
        text = decoded


def _reading_problem(segment: str) -> str | None:
    if _has_control(segment) or any(unicodedata.category(character) == "Cf" for character in segment):
        return "it holds a control or an invisible character"
    for character, name in _SEPARATORS.items():
        if character in segment:
            return f"it holds {name}"
    # Some servers drop path parameters first, and then "..;x" is "..".
    kept = segment.partition(";")[0].strip()
    if not kept:
        return "it holds an empty segment"
    if not kept.strip("."):
        return "it holds a segment of dots alone"
    return None


def _query_problem(query: str) -> str | None:
    try:
        found = any(_has_control(reading) for reading in _readings(query))
    except UnicodeDecodeError:
        return "the percent escapes of its query are not UTF-8"
    return "its query holds a control character" if found else None


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)
