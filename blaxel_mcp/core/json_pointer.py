"""JSON Pointer (RFC 6901), resolved on the text of a JSON document.

A part is located as a slice of the text, so numbers of any size, `1.10` and escapes come out as they went in. The
`jsonpointer` library resolves pointers on parsed values, which turns `1.10` into `1.1` and `1e400` into infinity.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from json import JSONDecoder
from typing import Any

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import literal

_SPACE = re.compile(r"[ \t\r\n]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")
_SCALARS = {'"': "a string", "t": "true", "f": "false", "n": "null"}
"""Each scalar but a number, by the first character of its text."""

MAX_POINTER_CHARS = 10_000
"""Maximum length of a caller's pointer: each step is compared with the names of an answer."""

_MAX_NAMES = 20
"""Members of an object that an error message lists."""

_decode = JSONDecoder().raw_decode


def spell(steps: Sequence[str | int]) -> str:
    """Return the pointer that consists of these steps, from the outermost inwards."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def read_steps(pointer: str) -> list[str]:
    """Split a pointer into its steps, none for the whole document; raises InvalidArgumentsError if it is none."""
    if pointer and not pointer.startswith("/"):
        raise InvalidArgumentsError(
            f"The pointer {literal(pointer)} does not begin with '/'.",
            hint="In a JSON Pointer, each step follows a slash: /choices/0/message/content.",
        )
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def locate(text: str, pointer: str) -> slice:
    """Return the slice of a JSON document, which has to be valid, that a pointer selects.

    White space around the value is not part of it. If an object has a member twice, the first one is selected.

    Raises:
        InvalidArgumentsError: The pointer selects nothing; the message names the step that fails and what is there.
    """
    start = _skip_space(text, 0)
    steps = read_steps(pointer)
    for index, step in enumerate(steps):
        above = steps[:index]
        if text[start] == "{":
            start = _member(text, start, step, above)
        elif text[start] == "[":
            start = _item(text, start, step, above)
        else:
            raise _dead_end(step, above, f"{_SCALARS.get(text[start], 'a number')} and has no parts")
    return slice(start, _decode(text, start)[1])


def items(text: str) -> Iterator[slice]:
    """Yield the slice of each item of a JSON array, which has to be valid JSON."""
    for start in _item_starts(text, _skip_space(text, 0)):
        yield slice(start, _decode(text, start)[1])


def find_string(value: Any, wanted: str, steps: tuple[str | int, ...] = ()) -> str | None:
    """Return the pointer to the first string in a parsed JSON value that equals `wanted`; None if there is none."""
    if isinstance(value, str):
        return spell(steps) if value == wanted else None
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            pointer = find_string(inner, wanted, (*steps, step))
            if pointer is not None:
                return pointer
    return None


def _member(text: str, start: int, name: str, above: Sequence[str]) -> int:
    """Return where the value of a member begins, of the object at `start`."""
    names = []
    at = _skip_space(text, start + 1)
    while text[at] != "}":
        member, at = _decode(text, at)
        at = _skip_space(text, _skip_space(text, at) + len(":"))
        if member == name:
            return at
        names.append(member)
        at = _next_element(text, at)
    listed = ", ".join(map(literal, names[:_MAX_NAMES]))
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    raise _dead_end(name, above, f"an object with the members {listed}{more}" if names else "an empty object")


def _item(text: str, start: int, step: str, above: Sequence[str]) -> int:
    """Return where an item begins, of the array at `start`."""
    index = int(step) if _INDEX.fullmatch(step) else None
    item = None if index is None else next(islice(_item_starts(text, start), index, None), None)
    if item is not None:
        return item
    length = sum(1 for _ in _item_starts(text, start))
    rule = "selected by index" if index is None else "counted from 0"
    raise _dead_end(step, above, f"an array of {length:,} item{'' if length == 1 else 's'}, {rule}")


def _item_starts(text: str, start: int) -> Iterator[int]:
    """Yield where each item begins, of the array at `start`."""
    at = _skip_space(text, start + 1)
    while text[at] != "]":
        yield at
        at = _next_element(text, at)


def _next_element(text: str, at: int) -> int:
    """Return where the element after the value at `at` begins, or where the closing bracket is."""
    at = _skip_space(text, _decode(text, at)[1])
    return _skip_space(text, at + 1) if text[at] == "," else at


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _dead_end(step: str, above: Sequence[str], value: str) -> InvalidArgumentsError:
    where = f"the value at {literal(spell(above))}" if above else "the top level"
    return InvalidArgumentsError(
        f"The pointer selects nothing at step {literal(step)}: {where} is {value}.",
        hint="Fix that step and call again.",
    )
