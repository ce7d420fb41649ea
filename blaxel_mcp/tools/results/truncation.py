"""Answers cut to the size of a tool's result, at places that keep them readable.

The size of a JSON value is the length of its compact text. It is shared out from the top
down: what is small stays whole, and what is large gets equal parts of the rest, so the
largest parts are cut first. Nothing is measured further than there is room for, so the work
depends on the limit and hardly on the size of the answer.
"""

from bisect import bisect_right
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.tools.results.truncation_notes import MAX_NOTE, Cut, Whole, how_to_read, more, note_on

CUT_KEY = "blaxel-mcp/truncated"
"""The member of a cut answer that says in a sentence what was left out and how to read it."""

_LEAST = 64
"""The least room that is given to a part: a marker for what was left out fits in."""

_MARKER = 40
"""Characters that such a marker takes at most, with its quotes and the comma before it."""

_ITEM_SHARE = 16
_MEMBER_SHARE = 64
"""Into how many equal parts the room of an array or object is divided at most: a reader of a long
array is better served by some of its items than by a little of each."""

_LOOK_BACK = 400
"""How far before the limit a line or a word may end for the cut to be put there."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """An answer that fits.

    Attributes:
        text: As text; JSON if the answer was.
        structured: The same as an object, None if the answer is not JSON.
        cut: Whether anything was left out or told in short.
    """

    text: str
    structured: dict[str, Any] | None
    cut: bool


def measure(value: Any, most: int) -> int:
    """The length of a value's compact JSON; of one that is longer than `most`, some figure over `most`."""
    match value:
        case str():
            return len(value) + 2 if len(value) > most else len(encode_basestring(value))
        case dict():
            return _measure_object(value, most)
        case list():
            return _measure_array(value, most)
        case _:
            return len(json_text.dump(value))


def bound_json(value: Any, *, limit: int, whole: Whole, remark: str = "", steps: tuple[str | int, ...] = ()) -> Bounded:
    """Cut a JSON value to `limit` characters of compact JSON.

    Args:
        value: No deeper than `json_text.MAX_DEPTH`, with nothing in it that JSON cannot write.
        limit: At least 1000.
        whole: Where the whole answer can be read.
        remark: A sentence on what was told in short already; such a value counts as cut.
        steps: Where in the whole answer the value stands.

    Returns:
        The value as it is if it fits. Otherwise an object that has `CUT_KEY` as its last member, so
        that the sentence is seen in text and structured content alike: clients show one or the other.
    """
    if not remark and measure(value, limit) <= limit:
        return Bounded(json_text.dump(value), as_object(value), cut=False)
    cutter = _Cutter()
    fitted = cutter.fit(value, limit - len(remark) - MAX_NOTE, steps)
    note = " ".join(part for part in (remark, note_on(cutter.cuts, whole)) if part)
    told = {**as_object(fitted), CUT_KEY: note}
    return Bounded(json_text.dump(told), told, cut=True)


def bound_text(text: str, *, limit: int, whole: Whole, place: Cut | None = None) -> Bounded:
    """Cut a text to `limit` characters, at the end of a line or word if one is near.

    Args:
        text: The text.
        limit: At least 1000.
        whole: Where the whole answer can be read.
        place: Where in that answer the text begins; None if it does not stand there in one piece,
            in which case the reader is sent to the answer's beginning.
    """
    if len(text) <= limit:
        return Bounded(text, None, cut=False)
    kept = _end_of_word(text, limit - MAX_NOTE)
    left_out = Cut(place.pointer, place.offset + kept, 0) if place else Cut(None, 0, 0)
    note = f"[{more(len(text) - kept, 'character')}. {how_to_read(left_out, whole)}]"
    return Bounded(f"{text[:kept]}\n\n{note}", None, cut=True)


def as_object(value: Any) -> dict[str, Any]:
    """A value as structured content, which has to be an object."""
    return value if isinstance(value, dict) else {"result": value}


def _measure_object(members: dict[str, Any], most: int) -> int:
    size = 1 + (not members)
    for name, value in members.items():
        size += measure(name, most) + 2
        if size <= most:
            size += measure(value, most - size)
        if size > most:
            break
    return size


def _measure_array(items: list[Any], most: int) -> int:
    size = 1 + (not items)
    for item in items:
        size += 1 + measure(item, most - size)
        if size > most:
            break
    return size


class _Cutter:
    """One walk over a value that is too long, with the places where it was cut."""

    def __init__(self) -> None:
        self.cuts: list[Cut] = []

    def fit(self, value: Any, room: int, steps: tuple[str | int, ...]) -> Any:
        """The value in `room` characters, which are at least `_LEAST`; the same object if it fits."""
        if measure(value, room) <= room:
            return value
        match value:
            case str():
                return self._string(value, room, steps)
            case dict():
                return self._object(value, room, steps)
            case list():
                return self._array(value, room, steps)
            case _:
                # A number of hundreds of digits.
                return self._string(json_text.dump(value), room, steps)

    def _string(self, text: str, room: int, steps: tuple[str | int, ...]) -> str:
        kept = _end_of_word(text, _prefix(text, room - _MARKER))
        self.cuts.append(Cut(spell(steps), kept, len(text) - kept))
        return f"{text[:kept]}... {more(len(text) - kept, 'character')}"

    def _array(self, items: list[Any], room: int, steps: tuple[str | int, ...]) -> list[Any]:
        sizes = _leading_sizes(items, room - _MARKER)
        level = _level(sizes, room - _MARKER)
        fitted = [
            self.fit(item, min(size, level) - 1, (*steps, index))
            for index, (item, size) in enumerate(zip(items, sizes, strict=False))
        ]
        if len(sizes) < len(items):
            left = len(items) - len(sizes)
            self.cuts.append(Cut(spell(steps), len(sizes), left * (sum(sizes) / len(sizes) if sizes else room)))
            fitted.append(f"... {more(left, 'item')}")
        return fitted

    def _object(self, members: dict[str, Any], room: int, steps: tuple[str | int, ...]) -> dict[str, Any]:
        sizes = _member_sizes(members, room - _MARKER)
        names = sum(measure(name, room) + 2 for name in sizes)
        level = _level(list(sizes.values()), room - _MARKER - names)
        fitted = {name: self.fit(members[name], min(size, level), (*steps, name)) for name, size in sizes.items()}
        if len(sizes) < len(members):
            left = len(members) - len(sizes)
            self.cuts.append(Cut(spell(steps), 0, left * _LEAST))
            fitted["..."] = more(left, "member")
        return fitted


def _leading_sizes(items: list[Any], room: int) -> list[int]:
    """The sizes of as many first items, each with its comma, as can be given a fair part of the room."""
    share = max(_LEAST + 1, room // _ITEM_SHARE)
    sizes: list[int] = []
    used = 0
    for item in items:
        size = 1 + measure(item, room)
        used += min(size, share)
        if used > room:
            break
        sizes.append(size)
    return sizes


def _member_sizes(members: dict[str, Any], room: int) -> dict[str, int]:
    """The sizes of the values of those members that can be given a fair part of the room with their names."""
    share = max(_LEAST, room // _MEMBER_SHARE)
    sizes: dict[str, int] = {}
    used = 0
    for name, value in members.items():
        if room - used < _LEAST // 8:
            break
        named = measure(name, room) + 2
        if used + named >= room:
            continue
        size = measure(value, room)
        if used + named + min(size, share) <= room:
            used += named + min(size, share)
            sizes[name] = size
    return sizes


def _level(sizes: list[int], room: int) -> int:
    """The height at which parts of these sizes, each cut to it, fill the room: the largest give way first."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return room // left
        room -= size
        left -= 1
    return max(sizes, default=0)


def _prefix(text: str, room: int) -> int:
    """How many first characters of a text take up `room` characters of JSON, escapes and all."""
    if len(encode_basestring(text[:room])) - 2 <= room:
        return min(room, len(text))
    return bisect_right(range(room + 1), room, key=lambda count: len(encode_basestring(text[:count])) - 2) - 1


def _end_of_word(text: str, most: int) -> int:
    """Where to cut a text so that at most `most` characters stay."""
    earliest = most - min(_LOOK_BACK, most // 4)
    for boundary in ("\n", " "):
        found = text.rfind(boundary, earliest, most)
        if found >= 0:
            return found + 1
    return most
