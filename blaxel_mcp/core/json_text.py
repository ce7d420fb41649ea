"""JSON text that is passed on unchanged.

An answer is returned as the text that the endpoint sent, without insignificant white space. Parsing and serializing it
would change integers of any size, `-0.0`, `1.10`, duplicate names or the order of members.
"""

import io
import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import pydantic_core

JSONObject = dict[str, Any]
"""A parsed JSON object."""

MAX_DEPTH = 100
"""Maximum nesting of structured content; the MCP SDK's serializer fails at about 250 levels."""

MAX_PARSED_DEPTH = 400
"""Maximum nesting that is parsed. Python's parser fails at about 1000 levels, less the depth of its callers."""

MAX_VALUES = 4_000_000
"""Maximum number of values in an answer that is parsed. Each costs up to 100 bytes and some microseconds in which no
other call proceeds: 64 MiB of empty objects would take gigabytes and many seconds. Even large vectors have fewer."""

MAX_ARGUMENT_VALUES = 220_000
"""Maximum number of values in a message from a client, member names included. The SDK parses a message while no other
call proceeds: at this limit, for less than a tenth of a second and into some 15 MB."""

_SMALL_VALUES, _SMALL_CHARS = 500, 100_000
"""The size of a value that is checked, repaired and written in a few milliseconds."""

_MAX_INTEGER_BITS = 1024
"""Integers beyond the range of a double (about 308 digits) are rejected; few JSON readers accept them."""

_PIECE = 64 * 1024

# Plain characters match in runs: one by one, megabytes of them take seconds.
_ONE_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_SPACE = re.compile(r"[ \t\r\n]")
_LARGE_EXPONENT = re.compile(r"[0-9][eE]\+?[0-9]{3}")
_MANY_DIGITS = re.compile(r"[0-9]{200}")
"""Text that is in every number beyond the range of a double, and in few others. One pattern for both is slower."""

_ESCAPED_BACKSLASH, _ESCAPED_QUOTE, _SEPARATOR = "\x01", "\x02", "\x03"
"""Placeholders: valid JSON has no control characters other than white space."""

_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789ED", b"000000000ed")
_UNUSUAL = (b"e000", b"e+000", b"0" * 200, b"\\ud")
"""Text that is in all JSON with a number beyond the range of a double or with half a surrogate pair."""

_NO_MARKS = bytes(set(range(256)) - set(b",:[{"))
"""Each value but the first needs one of the other characters before it. Counting them takes three times as long as
removing these: 140 ms for 20 MB."""

_LEAF_ROUNDS = 8
"""How often the innermost brackets of JSON are removed together; few answers nest deeper."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number:.20} is beyond the range of a number")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_FINITE_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse(text: str, *, finite: bool = False) -> Any:
    """Parse JSON as RFC 8259 defines it, which excludes the NaN and Infinity that Python accepts.

    The values are those of Python's parser, numbers of any size included. pydantic's parser makes the same ones in a
    quarter of the time, and only refuses more: half a surrogate pair, and more than some 200 levels.

    A number beyond the range of a double is infinity, which `dump` cannot write, or an error if `finite`.

    Raises:
        ValueError: The text is not JSON, or nests deeper than `MAX_PARSED_DEPTH`.
    """
    if not (finite and (_LARGE_EXPONENT.search(text) or (len(text) >= 200 and _MANY_DIGITS.search(text)))):  # noqa: PLR2004 - the digits
        try:
            return pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="keys")
        except (ValueError, TypeError):
            # Python's parser accepts more, such as half a surrogate pair, and says better what is wrong.
            pass
    if text.count("[") + text.count("{") > MAX_PARSED_DEPTH and depth(text) > MAX_PARSED_DEPTH:
        raise ValueError("it nests too deeply")
    try:
        return (_FINITE_DECODER if finite else _DECODER).decode(text)
    except RecursionError:
        # In text that is not JSON, `depth` can miss brackets.
        raise ValueError("it nests too deeply") from None


def values_at_most(text: str) -> int:
    """Return an upper bound on the number of values in valid JSON, in a fraction of the time of parsing.

    Member names count, and so does punctuation within strings.
    """
    return 1 + len(text.encode("utf-8", "surrogatepass").translate(None, _NO_MARKS))


def is_affordable(text: str) -> bool:
    """Return whether JSON has few enough values to be parsed (`MAX_VALUES`)."""
    return len(text) < MAX_VALUES or values_at_most(text) <= MAX_VALUES


class ValueCounter:
    """Counts the values of JSON that arrives in pieces, member names included, before it is parsed.

    It takes constant memory, and for each piece a fraction of a millisecond. `count` is at least the true number for
    valid JSON, and stops beyond the maximum.
    """

    def __init__(self) -> None:
        self.count = 1
        self._inside_string = False
        self._backslash = b""

    def feed(self, data: bytes) -> None:
        """Count the values of the next bytes."""
        for start in range(0, len(data), _PIECE):
            piece = self._backslash + data[start : start + _PIECE]
            # An escape may be split between two pieces.
            run = len(piece) - len(piece.rstrip(b"\\"))
            self._backslash = piece[-1:] if run % 2 else b""
            plain = piece[: len(piece) - run % 2].replace(b"\\\\", b"").replace(b'\\"', b"")
            parts = plain.split(b'"')
            outside = b"".join(parts[self._inside_string :: 2])
            self.count += len(outside.translate(None, _NO_MARKS))
            self._inside_string ^= len(parts) % 2 == 0
            if self.count > MAX_ARGUMENT_VALUES:
                break


def has_few_values(data: bytes) -> bool:
    """Return whether JSON has few enough values for a message from a client (`MAX_ARGUMENT_VALUES`)."""
    if len(data.translate(None, _NO_MARKS)) < MAX_ARGUMENT_VALUES:
        return True
    counter = ValueCounter()
    counter.feed(data)
    return counter.count <= MAX_ARGUMENT_VALUES


def is_small(value: Any) -> bool:
    """Return whether a value is JSON that the SDK can write, and small enough to be processed on the event loop."""
    values, chars, depth = 0, 0, 0
    level = [value]
    while level:
        items, level = level, []
        values += len(items)
        for item in items:
            if isinstance(item, str):
                chars += len(item)
            elif isinstance(item, dict | list):
                values += len(item)
                if values > _SMALL_VALUES or depth >= MAX_DEPTH:
                    return False
                if isinstance(item, dict):
                    chars += sum(map(len, item))
                    level += item.values()
                else:
                    level += item
            elif not (item is None or (isinstance(item, int | float) and is_finite(item))):
                return False
        if chars > _SMALL_CHARS:
            return False
        depth += 1
    return True


def is_finite(number: float) -> bool:
    """Return whether a number is within the range of a double."""
    return number.bit_length() <= _MAX_INTEGER_BITS if isinstance(number, int) else math.isfinite(number)


def compact(text: str) -> str:
    """Return valid JSON without the white space between its tokens, otherwise unchanged."""
    if not _SPACE.search(text):
        return text
    is_escaped = "\\" in text
    if is_escaped:
        text = text.replace("\\\\", _ESCAPED_BACKSLASH).replace('\\"', _ESCAPED_QUOTE)
    # Every quotation mark now begins or ends a string.
    parts = text.split('"')
    outside = _SEPARATOR.join(parts[::2])
    for space in " \n\r\t":
        outside = outside.replace(space, "")
    parts[::2] = outside.split(_SEPARATOR)
    text = '"'.join(parts)
    return text.replace(_ESCAPED_QUOTE, '\\"').replace(_ESCAPED_BACKSLASH, "\\\\") if is_escaped else text


def with_strings(text: str, change: Callable[[str], str]) -> str:
    """Return valid JSON with each string, member names included, replaced by what `change` returns for it.

    All else, and strings that stay the same, keep their spelling.
    """

    def changed(token: re.Match[str]) -> str:
        value = json.loads(token[0])
        replacement = change(value)
        return token[0] if replacement == value else json.dumps(replacement)

    return _ONE_STRING.sub(changed, text)


def dump(value: Any) -> str:
    """Serialize a value as compact JSON without escapes for non-ASCII text; raises ValueError for NaN and infinity."""
    return _ENCODER.encode(value)


def dump_in_pieces(value: Any) -> bytes:
    """Serialize a large value as compact JSON in UTF-8, piece by piece: in a thread, so that others proceed meanwhile.

    Raises ValueError as `dump`, and for half of a surrogate pair.
    """
    content = io.BytesIO()
    for piece in _pieces(value):
        content.write(piece.encode())
    return content.getvalue()


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # As one piece, a text with a single emoji would take four bytes for each character twice.
        yield '"'
        for start in range(0, len(value), _PIECE):
            yield dump(value[start : start + _PIECE])[1:-1]
        yield '"'
    elif is_small(value) or not isinstance(value, dict | list):
        yield dump(value)
    elif isinstance(value, dict):
        for index, (name, item) in enumerate(value.items()):
            yield f"{',' if index else '{'}{dump(name)}:"
            yield from _pieces(item)
        yield "}"
    else:
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from _pieces(item)
        yield "]"


def depth(text: str) -> int:
    """Return the number of levels that valid JSON nests; 0 for a scalar."""
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    structure = text.encode("utf-8", "surrogatepass").translate(_AS_ARRAYS, _NO_STRUCTURE)
    brackets = b"".join(structure.replace(b'""', b"").split(b'"')[::2])
    removed = 0
    while brackets and removed < _LEAF_ROUNDS:
        brackets = brackets.replace(b"[]", b"")
        removed += 1
    return removed + max(accumulate(1 if bracket == ord("[") else -1 for bracket in brackets), default=0)


def run_finder(characters: str, length: int) -> Callable[[str], bool]:
    """Return a check for a run of `length` of these ASCII characters, in a twentieth of a regular expression's time."""
    inside = set(characters.encode("ascii"))
    table = bytes(ord("x") if byte in inside else ord(" ") for byte in range(256))
    run = b"x" * length
    return lambda text: run in text.encode("utf-8", "surrogatepass").translate(table)


def survives_as_value(text: str, value: Any) -> bool:
    """Return whether the MCP SDK can serialize `value`, the result of `parse`, without changing what `text` says.

    It cannot write numbers beyond the range of a double or unpaired surrogates, and fails on deep nesting. An answer
    with any of these is returned as text only.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        return False
    try:
        shape = text.encode().translate(_DIGITS_AS_ZERO)
        if any(map(shape.__contains__, _UNUSUAL)) and b"Infinity" in pydantic_core.to_json(
            value, inf_nan_mode="constants"
        ):
            # It may be only a word in a string.
            dump(value)
    except ValueError:
        return False
    return True
