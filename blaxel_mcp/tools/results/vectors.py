"""Summaries of embedding vectors, which no agent reads number by number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.apis.embeddings import decode_floats
from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.json_text import run_finder
from blaxel_mcp.tools.results.copy_on_write import with_items, with_members

MIN_DIMENSIONS = 16
"""Shorter arrays of numbers are more likely scores or coordinates, which are worth reading."""

_has_numbers = run_finder("0123456789.,+-eE \t\r\n", 2 * MIN_DIMENSIONS - 1)
_FIRST_NUMBERS = 5
_FLOAT_DIGITS = 7


def may_hold_vectors(text: str) -> bool:
    """Return whether JSON may contain a vector, which is faster than a walk over its values."""
    return "embedding" in text or _has_numbers(text)


@dataclass(frozen=True, slots=True)
class Summary:
    """A JSON value in which some parts are summarized.

    Attributes:
        value: The value with something short in place of each of these parts.
        count: The number of these parts.
        first: The JSON Pointer of the first one; empty if there is none.
    """

    value: Any
    count: int
    first: str


def summarize_vectors(value: Any) -> Summary:
    """Summarize every vector in a JSON value as `{"vector": {"dimensions", "norm", "first"}}`.

    Vectors are arrays of numbers, and embeddings in base64.
    The latter are what OpenAI's `encoding_format: "base64"` returns: little-endian float32.
    """
    summarizer = _Summarizer()
    return Summary(summarizer.value(value, ()), summarizer.count, summarizer.first)


class _Summarizer:
    """One walk over a JSON value, with the number of vectors so far and the pointer of the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def value(self, value: Any, steps: tuple[str | int, ...]) -> Any:
        if isinstance(value, dict):
            return self._object(value, steps)
        if not isinstance(value, list):
            return value
        return self._vector(value, value[:_FIRST_NUMBERS], steps) or with_items(
            value,
            {
                index: changed
                for index, item in enumerate(value)
                if isinstance(item, list | dict) and (changed := self.value(item, (*steps, index))) is not item
            },
        )

    def _object(self, members: dict[str, Any], steps: tuple[str | int, ...]) -> dict[str, Any]:
        changes = {
            name: changed
            for name, value in members.items()
            if isinstance(value, list | dict) and (changed := self.value(value, (*steps, name))) is not value
        }
        encoded = members.get("embedding")
        if members.get("object") == "embedding" and isinstance(encoded, str):
            numbers = decode_floats(encoded)
            first = [_rounded(number) for number in numbers[:_FIRST_NUMBERS]]
            if summary := self._vector(numbers, first, (*steps, "embedding")):
                changes["embedding"] = summary
        return with_members(members, changes)

    def _vector(
        self, numbers: Sequence[Any], first: list[float], steps: tuple[str | int, ...]
    ) -> dict[str, Any] | None:
        """Return the summary of a vector; None if these numbers are not a vector."""
        if len(numbers) < MIN_DIMENSIONS or not all(type(number) in (int, float) for number in numbers):
            return None
        try:
            norm = math.hypot(*numbers)
        except OverflowError:
            return None
        if not math.isfinite(norm):
            return None
        if not self.count:
            self.first = spell(steps)
        self.count += 1
        return {"vector": {"dimensions": len(numbers), "norm": _rounded(norm), "first": first}}


def _rounded(number: float) -> float:
    """Round to the precision of a 32-bit float."""
    return float(f"{number:.{_FLOAT_DIGITS}g}")
