"""JSON Pointer (RFC 6901), resolved on JSON's text.

A part is found as a stretch of the text and never rebuilt from values, so numbers of any
size, `1.10` and escapes come out as they went in.
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
_MAX_NAMES = 20

_decode = JSONDecoder().raw_decode


def spell(steps: Sequence[str | int]) -> str:
    """The pointer that takes these steps, one below the other."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def read_steps(pointer: str) -> list[str]:
    """The steps of a pointer; none for the empty pointer, which means the whole.

    Raises:
        InvalidArgumentsError: it is not a pointer.
    """
    if pointer and not pointer.startswith("/"):
        raise InvalidArgumentsError(
            f"The pointer {literal(pointer)} does not begin with '/'.",
            hint="A JSON Pointer names each step after a slash, such as /choices/0/message/content.",
        )
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def locate(text: str, pointer: str) -> slice:
    """Find the part of valid JSON that a pointer picks, without the white space around it.

    Of a name that an object has twice, the first is taken. The text is read once at most.

    Raises:
        InvalidArgumentsError: the pointer leads nowhere; says which step failed, and what is there instead.
    """
    start = _skip_space(text, 0)
    taken: list[str] = []
    for step in read_steps(pointer):
        start = _step_into(text, start, step, spell(taken))
        taken.append(step)
    return slice(start, _decode(text, start)[1])


def items(text: str) -> Iterator[slice]:
    """The items of an array as stretches of its text, one after the other."""
    for start in _item_starts(text, _skip_space(text, 0)):
        yield slice(start, _decode(text, start)[1])


def find_string(value: Any, wanted: str) -> str | None:
    """The pointer to the first string in a JSON value that is `wanted`, or None if none is."""
    steps = _steps_to(value, wanted)
    return None if steps is None else spell(steps)


def _steps_to(value: Any, wanted: str) -> list[str | int] | None:
    if isinstance(value, str):
        return [] if value == wanted else None
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            below = _steps_to(inner, wanted)
            if below is not None:
                return [step, *below]
    return None


def _step_into(text: str, start: int, step: str, at: str) -> int:
    if text[start] == "{":
        return _member(text, start, step, at)
    if text[start] == "[":
        return _item(text, start, step, at)
    raise _dead_end(step, at, f"there is {_kind(text[start])}, which has no parts")


def _member(text: str, start: int, step: str, at: str) -> int:
    names = []
    for name, value_start in _members(text, start):
        if name == step:
            return value_start
        names.append(name)
    shown = ", ".join(literal(name) for name in names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    raise _dead_end(step, at, f"there is an object with {f'the names {shown}{more}' if names else 'no members'}")


def _item(text: str, start: int, step: str, at: str) -> int:
    starts = _item_starts(text, start)
    if not _INDEX.fullmatch(step):
        raise _dead_end(step, at, f"there is an array of {_counted(sum(1 for _ in starts))}, picked by index")
    index = int(step)
    found = next(islice(starts, index, None), None)
    if found is None:
        length = sum(1 for _ in _item_starts(text, start))
        raise _dead_end(step, at, f"there is an array of {_counted(length)}, counted from 0")
    return found


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Each name in the object at `start`, with the place where its value begins."""
    at = _skip_space(text, start + 1)
    while text[at] != "}":
        name, at = _decode(text, at)
        at = _skip_space(text, _skip_space(text, at) + 1)
        yield name, at
        at = _next_element(text, at)


def _item_starts(text: str, start: int) -> Iterator[int]:
    """The places where the items of the array at `start` begin."""
    at = _skip_space(text, start + 1)
    while text[at] != "]":
        yield at
        at = _next_element(text, at)


def _next_element(text: str, at: int) -> int:
    """Where the element after the value at `at` begins, or the bracket that closes the whole stands."""
    at = _skip_space(text, _decode(text, at)[1])
    return _skip_space(text, at + 1) if text[at] == "," else at


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _kind(first: str) -> str:
    kinds = {'"': "a string", "t": "true", "f": "false", "n": "null"}
    return kinds.get(first, "a number")


def _counted(length: int) -> str:
    return f"{length:,} item{'' if length == 1 else 's'}"


def _dead_end(step: str, at: str, there: str) -> InvalidArgumentsError:
    where = f"at {literal(at)}" if at else "at the top"
    return InvalidArgumentsError(
        f"The pointer leads nowhere at its step {literal(step)}: {where} {there}.",
        hint="Correct that step and call again.",
    )
