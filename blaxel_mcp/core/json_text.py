"""JSON text that is passed on unchanged.

An answer is returned as the text that the endpoint sent, without insignificant white space. Parsing and serializing it
would change integers of any size, `-0.0`, `1.10`, duplicate names or the order of members.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

JSONObject = dict[str, Any]
"""A parsed JSON object."""

MAX_DEPTH = 100
"""Maximum nesting of structured content; the MCP SDK's serializer fails at about 250 levels."""

MAX_PARSED_DEPTH = 400
"""Maximum nesting that is parsed. Python's parser fails at about 1000 levels, less the depth of its callers."""

MAX_VALUES = 4_000_000
"""Maximum number of values in an answer that is parsed. Each costs up to 100 bytes and some microseconds in which no
other call proceeds: 64 MiB of empty objects would take gigabytes and many seconds. Even large vectors have fewer."""

# Plain characters match in runs: one by one, megabytes of them take seconds.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRINGS_AND_SPACE = re.compile(rf"({_STRING})|[ \t\r\n]+")
_ONE_STRING = re.compile(_STRING)
_SPACE = re.compile(r"[ \t\r\n]")
_STRINGS_AND_BRACKETS = re.compile(rf"{_STRING}|([\[{{])|([\]}}])")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number:.20} is beyond the range of a number")
    return value


def parse(text: str, *, finite: bool = False) -> Any:
    """Parse JSON as RFC 8259 defines it, which excludes the NaN and Infinity that Python accepts.

    Args:
        text: The JSON text.
        finite: Whether to reject a number beyond the range of a double. Otherwise it is parsed as infinity, which
            `dump` cannot write.

    Raises:
        ValueError: The text is not JSON, or nests deeper than `MAX_PARSED_DEPTH`.
    """
    if text.count("[") + text.count("{") > MAX_PARSED_DEPTH and depth(text) > MAX_PARSED_DEPTH:
        raise ValueError("it nests too deeply")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite if finite else None)
    except RecursionError:
        # In text that is not JSON, `depth` can miss brackets.
        raise ValueError("it nests too deeply") from None


def values_at_most(text: str) -> int:
    """Return an upper bound on the number of values in valid JSON, member names included.

    It counts punctuation, also within strings, and so takes a fraction of the time of parsing.
    """
    return 1 + sum(map(text.count, ",:[{"))


def is_affordable(text: str) -> bool:
    """Return whether JSON has few enough values to be parsed (`MAX_VALUES`)."""
    return values_at_most(text) <= MAX_VALUES


def compact(text: str) -> str:
    """Return valid JSON without the white space between its tokens, otherwise unchanged."""
    if not _SPACE.search(text):
        return text
    return _STRINGS_AND_SPACE.sub(lambda match: match[1] or "", text)


def with_strings(text: str, change: Callable[[str], str]) -> str:
    """Return valid JSON with each string, member names included, replaced by what `change` returns for it.

    Strings that stay the same, numbers and white space keep their spelling.
    """

    def changed(token: re.Match[str]) -> str:
        value = json.loads(token[0])
        replacement = change(value)
        return token[0] if replacement == value else json.dumps(replacement)

    return _ONE_STRING.sub(changed, text)


def dump(value: Any) -> str:
    """Serialize a value as compact JSON; non-ASCII characters are not escaped.

    Raises:
        ValueError: The value contains NaN or infinity, which JSON cannot express.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def depth(text: str) -> int:
    """Return the number of levels that valid JSON nests; 0 for a scalar."""
    deepest = level = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        if match[1]:
            level += 1
            deepest = max(deepest, level)
        elif match[2]:
            level -= 1
    return deepest


def survives_as_value(text: str, value: Any) -> bool:
    """Return whether the MCP SDK can serialize `value` without changing what `text` says.

    It cannot write numbers beyond the range of a double or unpaired surrogates, and fails on deep nesting. An answer
    with any of these is returned as text only.

    Args:
        text: Valid JSON.
        value: What `parse` made of it.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        return False
    try:
        dump(value).encode()
    except ValueError:
        return False
    return True
