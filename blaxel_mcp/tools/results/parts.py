"""Parts of an answer: a slice of its text, a string in it, some items of an array, an object."""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_pointer import items, read_steps
from blaxel_mcp.tools.results.media import Media, Steps, extract_media, pick
from blaxel_mcp.tools.results.presentation import fit_json
from blaxel_mcp.tools.results.truncation import AnswerRef

Unit = Literal["characters", "items", "bytes"]

_MEDIA_STARTS = '"[{'
_MIN_MEDIA = 40
"""Shorter JSON holds no medium, in characters: most items of long arrays are small."""


@dataclass(frozen=True, slots=True)
class PartRequest:
    """The part of an answer to read: of the value at `pointer`, or of the answer's text without one.

    `offset` and `length` count items of an array, or characters of anything else; None for as many as fit.
    """

    pointer: str | None = None
    offset: int | None = None
    length: int | None = None

    @property
    def is_slice(self) -> bool:
        """Whether a slice of the part is requested rather than the part itself."""
        return self.offset is not None or self.length is not None


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """A part of an answer, or as much of it as fits: a text and the media that it refers to, or a medium alone.

    `offset`, `end` and `total` are where the text begins and ends in the part, and the part's size. If something within
    the text was omitted, it is `truncated`, and a note in it says what.
    """

    text: str | None
    unit: Unit
    offset: int
    total: int
    end: int = 0
    truncated: bool = False
    media: tuple[Media, ...] = ()

    @property
    def size(self) -> str:
        """The size of the part in words, such as "1 item" or "1,200 characters"."""
        return _counted(self.total, self.unit)

    @property
    def next_offset(self) -> int | None:
        """The offset of the rest; None at the end."""
        return self.end if self.unit != "bytes" and self.end < self.total else None


def read_part(text: str, request: PartRequest, *, is_json: bool, limit: int, ref: AnswerRef) -> AnswerPart:
    """Read a part of an answer, in at most `limit` characters.

    Only JSON has parts that a pointer picks. The note in a truncated object refers to `ref`.

    Raises:
        InvalidArgumentsError: The pointer or the offset leads nowhere.
    """
    if request.pointer is None:
        return _read_characters(text, request, limit)
    if not is_json:
        raise InvalidArgumentsError(
            "This answer is text and not JSON, so `pointer` picks nothing in it.",
            hint="Omit `pointer`; read slices with `offset` and `length`.",
        )
    part, medium = pick(text, request.pointer)
    steps = tuple(read_steps(request.pointer))
    if medium and not request.is_slice:
        return AnswerPart(None, "bytes", 0, len(medium.data), media=(medium,))
    if part[0] == "[":
        return _read_items(part, request, limit, ref, steps)
    if part[0] == '"':
        return _read_characters(json_text.parse(part), request, limit)
    if part[0] == "{" and not request.is_slice and (fitted := fit_json(part, limit, ref, steps)):
        return AnswerPart(fitted.text, "characters", 0, len(part), len(part), fitted.truncated, fitted.media)
    return _read_characters(part, request, limit)


def _read_characters(text: str, request: PartRequest, limit: int) -> AnswerPart:
    offset = _checked_offset(request, len(text), "characters")
    end = min(len(text), offset + min(request.length or limit, limit))
    return AnswerPart(text[offset:end], "characters", offset, len(text), end)


def _read_items(array: str, request: PartRequest, limit: int, ref: AnswerRef, steps: tuple[str, ...]) -> AnswerPart:
    """Return as many items as fit, verbatim; a first one that does not fit is returned alone, truncated."""
    total = len(json_text.parse(array))
    offset = _checked_offset(request, total, "items")
    end = min(total, offset + (request.length or total))
    shown: list[str] = []
    media: list[Media] = []
    space = limit - 2
    for index, place in enumerate(islice(items(array), offset, end), offset):
        text, item_media = _read_item(array[place], (*steps, index), 2 + len(media))
        space -= len(text) + 1
        if space < 0 and not shown:
            return _read_long_item(array[place], index, total, limit=limit, ref=ref, steps=steps)
        if space < 0:
            break
        shown.append(text)
        media += item_media
    return AnswerPart(f"[{','.join(shown)}]", "items", offset, total, offset + len(shown), media=tuple(media))


def _read_item(text: str, steps: Steps, first_block: int) -> tuple[str, tuple[Media, ...]]:
    if len(text) < _MIN_MEDIA or text[0] not in _MEDIA_STARTS:
        return text, ()
    value = json_text.parse(text)
    if not json_text.survives_as_value(text, value):
        return text, ()
    without_media, media = extract_media(value, steps=steps, first_block=first_block)
    return (json_text.dump(without_media) if media else text), media


def _read_long_item(
    text: str, index: int, total: int, *, limit: int, ref: AnswerRef, steps: tuple[str, ...]
) -> AnswerPart:
    fitted = fit_json(text, limit, ref, (*steps, index))
    if fitted is None:
        raise InvalidArgumentsError(
            f"Item {index:,} is too long for one result and cannot be truncated.",
            hint=f"Read it by characters: add /{index} to `pointer` and set `offset` and `length`.",
        )
    return AnswerPart(fitted.text, "items", index, total, index + 1, fitted.truncated, fitted.media)


def _checked_offset(request: PartRequest, total: int, unit: Unit) -> int:
    offset = request.offset or 0
    if offset > total:
        raise InvalidArgumentsError(
            f"The offset {offset:,} is past the end: the part has {_counted(total, unit)}.",
            hint=f"Use an offset from 0 to {total:,}.",
        )
    return offset


def _counted(count: int, unit: Unit) -> str:
    return f"{count:,} {unit if count != 1 else unit.removesuffix('s')}"
