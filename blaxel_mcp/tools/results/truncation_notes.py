"""What is said where an answer was cut, and how the reader goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.core import json_text

_MAX_POINTER = 200
MAX_NOTE = 500
"""Characters that the sentence on what was cut takes at most."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Where the whole of an answer can be read.

    Attributes:
        call_id: The call's id.
        tool: The tool that reads it.
    """

    call_id: str
    tool: str = "read_result"

    def reading(self, **arguments: Any) -> str:
        """The call that reads some part of it, spelled for an agent."""
        spelled = [f"{name}={json_text.dump(value)}" for name, value in {"call_id": self.call_id, **arguments}.items()]
        return f"{self.tool}({', '.join(spelled)})"


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where something was left out.

    Attributes:
        pointer: Where, as a JSON Pointer; None for an answer that is read by characters alone.
        offset: From which character or item on.
        lost: About how many characters were left out.
    """

    pointer: str | None
    offset: int
    lost: float


def more(count: int, noun: str) -> str:
    """So many more of something."""
    return f"{count:,} more {noun}{'' if count == 1 else 's'}"


def note_on(cuts: Sequence[Cut], whole: Whole) -> str:
    """The sentence on an answer that was cut at these places; empty for none."""
    if not cuts:
        return ""
    largest = max(cuts, key=lambda cut: cut.lost)
    places = "in one place" if len(cuts) == 1 else f"in {len(cuts):,} places, which are marked"
    return f"This answer was too long and is cut {places}. {how_to_read(largest, whole)}"


def how_to_read(cut: Cut, whole: Whole) -> str:
    """The sentence on how to go on where something was left out."""
    if cut.pointer is None:
        return f"Read on with {whole.reading(offset=cut.offset)}."
    if _is_long(cut.pointer):
        return f"Read the whole of it with {whole.reading()}."
    return f"Read on with {whole.reading(pointer=cut.pointer, offset=cut.offset)}."


def how_to_read_one(pointer: str, whole: Whole) -> str:
    """The sentence on how to read, whole, one of several parts that were told in short."""
    if _is_long(pointer):
        return f"Read the whole of it with {whole.reading()}."
    return f"Read a whole one with {whole.reading(pointer=pointer)}."


def _is_long(pointer: str) -> bool:
    """Whether a pointer, quoted within the quoted sentence, would take more than its share of a result."""
    return len(json_text.dump(json_text.dump(pointer))) > _MAX_POINTER
