"""The notes in a truncated answer: the omitted parts, and the call that reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.core import json_text

_MAX_POINTER = 200
MAX_NOTE = 500
"""The longest note on the truncations of an answer, in characters."""


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


@dataclass(frozen=True, slots=True)
class Truncation:
    """A truncated place in an answer.

    Attributes:
        pointer: The JSON Pointer of the truncated value; None for an answer that is read by characters only.
        offset: The first omitted character, or the index of the first omitted item.
        omitted: The approximate number of omitted characters.
    """

    pointer: str | None = None
    offset: int = 0
    omitted: float = 0


def count_more(count: int, noun: str) -> str:
    """Return a count such as "1 more item" or "1,200 more characters"."""
    return f"{count:,} more {noun}{'' if count == 1 else 's'}"


def truncation_note(truncations: Sequence[Truncation], ref: AnswerRef) -> str:
    """Return the note on an answer that was truncated at these places; empty for none."""
    if not truncations:
        return ""
    largest = max(truncations, key=lambda truncation: truncation.omitted)
    places = "in one place" if len(truncations) == 1 else f"in {len(truncations):,} marked places"
    return f"This answer was truncated {places}. {continue_hint(largest, ref)}"


def continue_hint(truncation: Truncation, ref: AnswerRef) -> str:
    """Return the sentence on how to read the omitted text at a place."""
    return _read_hint("Continue with", ref, truncation.pointer, offset=truncation.offset)


def read_one_hint(pointer: str, ref: AnswerRef) -> str:
    """Return the sentence on how to read one of several summarized parts in full."""
    return _read_hint("Read one in full with", ref, pointer)


def _read_hint(start: str, ref: AnswerRef, pointer: str | None, offset: int | None = None) -> str:
    # A note quotes it within a JSON string.
    if pointer is not None and len(json_text.dump(json_text.dump(pointer))) > _MAX_POINTER:
        return f"Read the complete answer with {ref.read_call()}."
    return f"{start} {ref.read_call(pointer=pointer, offset=offset)}."
