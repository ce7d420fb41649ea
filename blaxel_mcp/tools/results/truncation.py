"""Truncation of answers to the size of a tool result, at places that keep them readable.

The limit is shared out from the top down: small parts stay complete, and the large ones get equal shares of the rest.
No part is measured beyond the space that is left, so the work depends on the limit and hardly on the answer's size.
"""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.tools.results.media import Media, Steps

TRUNCATION_KEY = "blaxel-mcp/truncated"
"""The member of a truncated answer whose text says what was omitted and how to read it."""

_MAX_POINTER = 200
_MAX_NOTE = 500
"""The longest note on the truncations of an answer, and the longest pointer in it, in characters."""

_MIN_PART = 64
"""The smallest limit that a part gets, in characters: a truncation marker fits in it."""

_MARKER = 40
"""The longest such marker, in characters, with its quotes and the comma before it."""

_ITEM_SHARES = 16
_MEMBER_SHARES = 64
"""An array or object is divided into at most this many equal shares: some complete items of a
long array are worth more to its reader than a little of each."""

_LOOK_BACK = 400
"""Characters before the limit in which the end of a line or word is looked for."""


@dataclass(frozen=True, slots=True)
class AnswerRef:
    """Where a complete answer can be read: the call's id, and the name of the tool that reads it."""

    call_id: str
    tool: str = "read_result"

    def read_call(self, **arguments: Any) -> str:
        """Return the tool call that reads a part of the answer, as an agent would write it; None omits an argument."""
        values = {"call_id": self.call_id, **arguments}
        spelled = [f"{name}={json_text.dump(value)}" for name, value in values.items() if value is not None]
        return f"{self.tool}({', '.join(spelled)})"

    def hint(self, start: str, pointer: str | None, offset: int | None = None) -> str:
        """Return the sentence that begins so, on how to read a part; of a part with a long pointer, the answer."""
        # A note quotes it within a JSON string.
        if pointer is not None and len(json_text.dump(json_text.dump(pointer))) > _MAX_POINTER:
            return f"Read the complete answer with {self.read_call()}."
        return f"{start} {self.read_call(pointer=pointer, offset=offset)}."


@dataclass(frozen=True, slots=True)
class Truncation:
    """A truncated place in an answer: its JSON Pointer, and the first omitted character or item of about so many.

    `pointer` is None for an answer that is read by characters only; `omitted` counts characters.
    """

    pointer: str | None = None
    offset: int = 0
    omitted: float = 0


@dataclass(frozen=True, slots=True)
class Presentation:
    """The text and media of an answer in a tool result, in the order in which the text refers to them.

    Attributes:
        text: The text; None for an answer that is a medium.
        structured: The same as an object. None for anything but JSON, and beside media, which some clients then drop.
        truncated: Whether anything in the answer was omitted or summarized.
        remarks: Sentences that follow the answer.
    """

    text: str | None
    structured: dict[str, Any] | None = None
    truncated: bool = False
    media: tuple[Media, ...] = ()
    remarks: tuple[str, ...] = ()


def measure(value: Any, limit: int) -> int:
    """Return the length of a value's compact JSON, or some number above `limit` if it is longer than that."""
    kind = type(value)
    if kind is str:
        return len(value) + 2 if len(value) > limit else len(encode_basestring(value))
    if kind is int or kind is float:
        return len(repr(value))
    if isinstance(value, dict):
        size = 1 + (not value)
        for name, member in value.items():
            size += (len(encode_basestring(name)) if len(name) <= limit else len(name) + 2) + 2
            if size <= limit:
                size += measure(member, limit - size)
            if size > limit:
                break
        return size
    if isinstance(value, list):
        size = 1 + (not value)
        for item in value:
            size += 1 + measure(item, limit - size)
            if size > limit:
                break
        return size
    return len(json_text.dump(value))


def truncate_json(
    value: Any,
    *,
    limit: int,
    ref: AnswerRef,
    media: tuple[Media, ...] = (),
    remark: str = "",
    steps: Steps = (),
    size: int | None = None,
) -> Presentation:
    """Truncate a JSON value to `limit` characters of compact JSON, at least 1000.

    A value that fits stays as it is. Otherwise it becomes an object whose last member is `TRUNCATION_KEY`, so that the
    note is in both the text and the structured content: clients show one or the other.

    The value refers to the `media`, and `steps` lead to it in the complete answer. `remark` is a sentence on parts that
    are summarized already; with one, the value always counts as truncated. `size` is what `measure` returned for the
    value with `limit` or more; None to measure it.

    Raises:
        ValueError: What is shown contains a number that JSON cannot write.
    """
    size = measure(value, limit) if size is None else size
    if not remark and size <= limit:
        return Presentation(json_text.dump(value), None if media else as_object(value), media=media)
    truncator = _Truncator()
    fitted = truncator.fit(value, size, limit - len(remark) - _MAX_NOTE, steps)
    notes = [remark]
    if places := truncator.truncations:
        largest = max(places, key=lambda truncation: truncation.omitted)
        count = "one place" if len(places) == 1 else f"{len(places):,} marked places"
        hint = ref.hint("Continue with", largest.pointer, largest.offset)
        notes.append(f"This answer was truncated in {count}. {hint}")
    noted = {**as_object(fitted), TRUNCATION_KEY: " ".join(filter(None, notes))}
    return Presentation(json_text.dump(noted), None if media else noted, truncated=True, media=media)


def truncate_text(
    text: str, *, limit: int, ref: AnswerRef, place: Truncation | None = None, media: tuple[Media, ...] = ()
) -> Presentation:
    """Truncate a text to `limit` characters, at least 1000, at the end of a line or word if one is near.

    `place` is where the text begins in the complete answer; None if it is not there in one piece: the note then points
    to the beginning of the answer.
    """
    if len(text) <= limit:
        return Presentation(text, media=media)
    end = _end_of_word(text, limit - _MAX_NOTE)
    hint = ref.hint("Continue with", place.pointer if place else None, end if place else 0)
    note = f"[{_count_more(len(text) - end, 'character')}. {hint}]"
    return Presentation(f"{text[:end]}\n\n{note}", truncated=True, media=media)


def as_object(value: Any) -> dict[str, Any]:
    """Return a value as structured content, which has to be an object."""
    return value if isinstance(value, dict) else {"result": value}


class _Truncator:
    """One walk over a value that is too long, with the truncated places in their order."""

    def __init__(self) -> None:
        self.truncations: list[Truncation] = []

    def fit(self, value: Any, size: int, limit: int, steps: Steps) -> Any:
        """Return a value of this size in at most `limit` characters, which are at least `_MIN_PART`."""
        if size <= limit:
            return value
        match value:
            case str():
                return self._fit_string(value, limit, steps)
            case dict():
                return self._fit_object(value, limit - _MARKER, steps)
            case list():
                return self._fit_array(value, limit - _MARKER, steps)
            case _:
                # A number of hundreds of digits.
                return self._fit_string(json_text.dump(value), limit, steps)

    def _fit_string(self, text: str, limit: int, steps: Steps) -> str:
        limit -= _MARKER
        end = min(limit, len(text))
        if len(encode_basestring(text[:end])) - 2 > limit:
            # Escapes take more than one character each.
            end = bisect_right(range(end), limit, key=lambda count: len(encode_basestring(text[:count])) - 2) - 1
        end = _end_of_word(text, end)
        self.truncations.append(Truncation(spell(steps), end, len(text) - end))
        return f"{text[:end]}... {_count_more(len(text) - end, 'character')}"

    def _fit_array(self, items: list[Any], limit: int, steps: Steps) -> list[Any]:
        # As many of the first items as get a fair share, each with its comma.
        share, used = max(_MIN_PART + 1, limit // _ITEM_SHARES), 0
        sizes: list[int] = []
        for item in items:
            size = 1 + measure(item, limit)
            used += min(size, share)
            if used > limit:
                break
            sizes.append(size)
        cap = _largest_cap(sizes, limit)
        fitted = [
            self.fit(item, size - 1, min(size, cap) - 1, (*steps, index))
            for index, (item, size) in enumerate(zip(items, sizes, strict=False))
        ]
        if omitted := len(items) - len(sizes):
            average = sum(sizes) / len(sizes) if sizes else limit + _MARKER
            self.truncations.append(Truncation(spell(steps), len(sizes), omitted * average))
            fitted.append(f"... {_count_more(omitted, 'item')}")
        return fitted

    def _fit_object(self, members: dict[str, Any], limit: int, steps: Steps) -> dict[str, Any]:
        # The members that get a fair share, each with its name, colon and comma.
        share, names, used = max(_MIN_PART, limit // _MEMBER_SHARES), 0, 0
        sizes: dict[str, int] = {}
        for name, value in members.items():
            if limit - used < _MIN_PART // 8:
                break
            name_size = measure(name, limit) + 2
            if used + name_size >= limit:
                continue
            size = measure(value, limit)
            if used + name_size + min(size, share) <= limit:
                names += name_size
                used += name_size + min(size, share)
                sizes[name] = size
        cap = _largest_cap(sizes.values(), limit - names)
        fitted = {name: self.fit(members[name], size, min(size, cap), (*steps, name)) for name, size in sizes.items()}
        if omitted := len(members) - len(sizes):
            self.truncations.append(Truncation(spell(steps), 0, omitted * _MIN_PART))
            fitted["..."] = _count_more(omitted, "member")
        return fitted


def _largest_cap(sizes: Collection[int], limit: int) -> int:
    """Return the largest cap such that `sum(min(size, cap) for size in sizes) <= limit` (water-filling)."""
    remaining = len(sizes)
    for size in sorted(sizes):
        if size * remaining > limit:
            return limit // remaining
        limit -= size
        remaining -= 1
    return max(sizes, default=0)


def _end_of_word(text: str, limit: int) -> int:
    """Return the position after the last line break or space before `limit`, or `limit` if none is near."""
    earliest = limit - min(_LOOK_BACK, limit // 4)
    for boundary in ("\n", " "):
        position = text.rfind(boundary, earliest, limit)
        if position >= 0:
            return position + 1
    return limit


def _count_more(count: int, noun: str) -> str:
    return f"{count:,} more {noun}{'' if count == 1 else 's'}"
