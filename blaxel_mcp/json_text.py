"""JSON as text that must come through unharmed.

An answer is handed on as the text that the endpoint sent, less its insignificant white
space: integers of any size, `-0.0`, `1.10`, duplicate names and the order of keys stay as
they are, which no round trip through values can promise.
"""

import json
import re
from typing import Any

MAX_DEPTH = 100
"""Deepest nesting that is handed over as structured content; the SDK's serialiser ends near 250."""

# Runs of plain characters are taken at once: character by character, megabytes take seconds.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRINGS_AND_SPACE = re.compile(rf"({_STRING})|[ \t\r\n]+")
_STRINGS_AND_BRACKETS = re.compile(rf"{_STRING}|([\[{{])|([\]}}])")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse(text: str) -> Any:
    """Read JSON as RFC 8259 has it, without the NaN and Infinity that Python would take.

    Raises:
        ValueError: it is not JSON, or nests deeper than can be read.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def compact(text: str) -> str:
    """Take the white space between the tokens out of valid JSON and change nothing else."""
    return _STRINGS_AND_SPACE.sub(lambda match: match[1] or "", text)


def dump(value: Any) -> str:
    """Write a value as compact JSON, unicode as itself.

    Raises:
        ValueError: it holds a number that JSON cannot write.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def depth(text: str) -> int:
    """How deeply valid JSON nests."""
    deepest = level = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        if match[1]:
            level += 1
            deepest = max(deepest, level)
        elif match[2]:
            level -= 1
    return deepest


def survives_as_value(text: str, value: Any) -> bool:
    """Whether `value`, parsed from `text`, says on the wire what the text says.

    A number beyond the range of a double and half a surrogate pair have no spelling in the
    SDK's serialiser, and deep nesting ends it: such an answer goes out as text alone.
    """
    if depth(text) > MAX_DEPTH:
        return False
    try:
        dump(value).encode()
    except ValueError:
        return False
    return True
