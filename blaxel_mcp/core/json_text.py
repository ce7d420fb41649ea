"""JSON as text that must come through unharmed.

An answer is handed on as the text that the endpoint sent, less its insignificant white
space: integers of any size, `-0.0`, `1.10`, duplicate names and the order of keys stay as
they are, which no round trip through values can promise.
"""

import json
import math
import re
from typing import Any

JSONObject = dict[str, Any]
"""A JSON object as Python has it."""

MAX_DEPTH = 100
"""Deepest nesting that is handed over as structured content; the SDK's serialiser ends near 250."""

MAX_PARSED_DEPTH = 400
"""Deepest nesting that is read at all: Python's parser ends at about 1000, less what its callers are nested already."""

MAX_VALUES = 4_000_000
"""The most values that one answer is taken apart into. Each takes up to a hundred bytes and some microseconds of
everybody's time: 64 MiB of empty objects would take gigabytes and many seconds. Vectors of that size are fewer."""

# Runs of plain characters are taken at once: character by character, megabytes take seconds.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRINGS_AND_SPACE = re.compile(rf"({_STRING})|[ \t\r\n]+")
_SPACE = re.compile(r"[ \t\r\n]")
_STRINGS_AND_BRACKETS = re.compile(rf"{_STRING}|([\[{{])|([\]}}])")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number:.20} is more than a number can be here")
    return value


def parse(text: str, *, finite: bool = False) -> Any:
    """Read JSON as RFC 8259 has it, without the NaN and Infinity that Python would take.

    Args:
        text: The JSON.
        finite: Whether a number beyond the range of a double is refused rather than read as infinity,
            which `dump` cannot write.

    Raises:
        ValueError: it is not JSON, or nests deeper than `MAX_PARSED_DEPTH`.
    """
    if text.count("[") + text.count("{") > MAX_PARSED_DEPTH and depth(text) > MAX_PARSED_DEPTH:
        raise ValueError("it nests too deeply")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite if finite else None)
    except RecursionError:
        # What is not JSON may hide its depth from who counts.
        raise ValueError("it nests too deeply") from None


def values_at_most(text: str) -> int:
    """No fewer values than valid JSON holds, the names of members counted: a look at its marks, strings included."""
    return 1 + sum(map(text.count, ",:[{"))


def is_affordable(text: str) -> bool:
    """Whether JSON holds few enough values to be taken apart."""
    return values_at_most(text) <= MAX_VALUES


def compact(text: str) -> str:
    """Take the white space between the tokens out of valid JSON and change nothing else."""
    if not _SPACE.search(text):
        return text
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
