"""Parts of an answer: a stretch of its text, a string in it, some items of an array, an object."""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_pointer import items, locate, read_steps
from blaxel_mcp.tools.results.media import Media, decode_media, lift_media
from blaxel_mcp.tools.results.truncation import Bounded, bound_json
from blaxel_mcp.tools.results.truncation_notes import Whole

Unit = Literal["characters", "items", "bytes"]

_CAN_HOLD_MEDIA = '"[{'
_LEAST_MEDIA = 40
"""Characters of JSON below which no medium is looked for: most items of long arrays are small."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Attributes:
        pointer: The JSON Pointer of the part; None for the answer's text.
        offset: Where to begin in it; None for the beginning.
        length: How much; None for as much as fits.
    """

    pointer: str | None = None
    offset: int | None = None
    length: int | None = None

    @property
    def is_stretch(self) -> bool:
        """Whether a stretch of the part is asked for, and not the part as such."""
        return self.offset is not None or self.length is not None


@dataclass(frozen=True, slots=True)
class Part:
    """A part, or as much of it as fits.

    Attributes:
        text: The text, None for a medium alone.
        unit: What the figures count.
        offset: Where it begins.
        total: How much there is.
        end: Where it ends.
        cut: Whether something within it is shortened; the text says what.
        media: The media that the text refers to.
    """

    text: str | None
    unit: Unit
    offset: int
    total: int
    end: int = 0
    cut: bool = False
    media: tuple[Media, ...] = ()

    @property
    def next_offset(self) -> int | None:
        """Where to go on, None at the end."""
        return self.end if self.unit != "bytes" and self.end < self.total else None


def read_part(text: str, wanted: Wanted, *, is_json: bool, limit: int, whole: Whole) -> Part:
    """Read a part of an answer.

    Args:
        text: The answer.
        wanted: The part.
        is_json: Whether the answer is JSON, which a pointer needs.
        limit: The most text, in characters.
        whole: Where the whole answer is read, for the sentence in an object that is cut.

    Raises:
        InvalidArgumentsError: the pointer or the offset leads nowhere.
    """
    if wanted.pointer is None:
        return _characters(text, wanted, limit)
    if not is_json:
        raise InvalidArgumentsError(
            "This answer is text and not JSON, so a pointer picks nothing in it.",
            hint="Leave `pointer` out, and read it with `offset` and `length`.",
        )
    found = text[locate(text, wanted.pointer)]
    steps = tuple(read_steps(wanted.pointer))
    if found[0] == "[":
        return _items(found, wanted, limit, whole, steps)
    if found[0] == '"':
        return _string(json_text.parse(found), wanted, limit)
    if found[0] == "{" and not wanted.is_stretch:
        return _object(found, limit, whole, steps) or _characters(found, wanted, limit)
    return _characters(found, wanted, limit)


def _characters(text: str, wanted: Wanted, limit: int) -> Part:
    offset = _checked(wanted.offset or 0, len(text), "characters")
    end = min(len(text), offset + min(wanted.length or limit, limit))
    return Part(text[offset:end], "characters", offset, len(text), end)


def _string(text: str, wanted: Wanted, limit: int) -> Part:
    decoded = None if wanted.is_stretch else decode_media(text)
    if decoded is None:
        return _characters(text, wanted, limit)
    return Part(None, "bytes", 0, len(decoded[0]), media=(Media(*decoded, wanted.pointer),))


def _object(found: str, limit: int, whole: Whole, steps: tuple[str, ...]) -> Part | None:
    """An object whole, with its media apart and cut where it is too long; None if it cannot be shown as a value."""
    short = _shortened(found, limit, whole, steps)
    if short is None:
        return None
    bounded, media = short
    text = bounded.text if media or bounded.cut else found
    return Part(text, "characters", 0, len(found), len(found), bounded.cut, media)


def _items(found: str, wanted: Wanted, limit: int, whole: Whole, steps: tuple[str, ...]) -> Part:
    """As many items as fit, each as it came; a single one that does not fit is cut."""
    total = len(json_text.parse(found))
    offset = _checked(wanted.offset or 0, total, "items")
    end = min(total, offset + (wanted.length or total))
    shown: list[str] = []
    media: list[Media] = []
    room = limit - 2
    for index, place in enumerate(islice(items(found), offset, end), offset):
        text, more = _item(found[place], (*steps, index), 2 + len(media))
        room -= len(text) + 1
        if room < 0 and not shown:
            return _long_item(found[place], (*steps, index), limit, whole, total)
        if room < 0:
            break
        shown.append(text)
        media += more
    return Part(f"[{','.join(shown)}]", "items", offset, total, offset + len(shown), media=tuple(media))


def _item(text: str, steps: tuple[str | int, ...], first_block: int) -> tuple[str, tuple[Media, ...]]:
    if len(text) < _LEAST_MEDIA or text[0] not in _CAN_HOLD_MEDIA:
        return text, ()
    value = json_text.parse(text)
    if not json_text.survives_as_value(text, value):
        return text, ()
    lifted, media = lift_media(value, steps=steps, first_block=first_block)
    return (json_text.dump(lifted) if media else text), media


def _long_item(text: str, steps: tuple[str | int, ...], limit: int, whole: Whole, total: int) -> Part:
    index = int(steps[-1])
    short = _shortened(text, limit, whole, steps)
    if short is None:
        raise InvalidArgumentsError(
            f"Item {index:,} is too long for one result, and cannot be shortened.",
            hint=f"Read it by characters: add /{index} to the pointer and give `offset` and `length`.",
        )
    bounded, media = short
    return Part(bounded.text, "items", index, total, index + 1, bounded.cut, media)


def _shortened(
    found: str, limit: int, whole: Whole, steps: tuple[str | int, ...]
) -> tuple[Bounded, tuple[Media, ...]] | None:
    value = json_text.parse(found)
    if not json_text.survives_as_value(found, value):
        return None
    lifted, media = lift_media(value, steps=steps)
    return bound_json(lifted, limit=limit, whole=whole, steps=steps), media


def _checked(offset: int, total: int, unit: str) -> int:
    if offset > total:
        raise InvalidArgumentsError(
            f"The offset {offset:,} is past the end: there are {total:,} {unit}.",
            hint="Begin with an offset of 0.",
        )
    return offset
