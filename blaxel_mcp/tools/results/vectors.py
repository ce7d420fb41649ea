"""Embedding vectors, which no agent reads number by number, told in short."""

import base64
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from sys import byteorder
from typing import Any

from blaxel_mcp.core.json_pointer import spell

MIN_DIMENSIONS = 16
"""Shorter arrays of numbers are more likely scores or coordinates, which are worth reading."""

_FIRST = 5
_FLOAT_BYTES = 4
_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Summary:
    """A value whose vectors are told in short.

    Attributes:
        value: The value with `{"vector": {"dimensions", "norm", "first"}}` in the place of each vector.
        count: How many vectors that were.
        first: The JSON Pointer of the first of them, empty if there is none.
    """

    value: Any
    count: int
    first: str


def summarise_vectors(value: Any) -> Summary:
    """Tell every array of numbers in a JSON value in short, and every embedding that is base64.

    OpenAI's `encoding_format: "base64"` gives the latter: float32, little endian.
    """
    walk = _Walk()
    return Summary(walk.value(value, ()), walk.count, walk.first)


class _Walk:
    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def value(self, value: Any, steps: tuple[str | int, ...]) -> Any:
        if isinstance(value, list):
            return self._in_short(value, value[:_FIRST], steps) or self._list(value, steps)
        if isinstance(value, dict):
            return self._object(value, steps)
        return value

    def _object(self, members: dict[str, Any], steps: tuple[str | int, ...]) -> dict[str, Any]:
        told = members
        is_embedding = members.get("object") == "embedding"
        for name, value in members.items():
            changed = value
            if isinstance(value, list | dict):
                changed = self.value(value, (*steps, name))
            elif is_embedding and name == "embedding" and isinstance(value, str):
                changed = self._encoded(value, (*steps, name))
            if changed is not value:
                told = dict(members) if told is members else told
                told[name] = changed
        return told

    def _list(self, items: list[Any], steps: tuple[str | int, ...]) -> list[Any]:
        told = items
        for index, item in enumerate(items):
            if isinstance(item, list | dict):
                changed = self.value(item, (*steps, index))
                if changed is not item:
                    told = list(items) if told is items else told
                    told[index] = changed
        return told

    def _encoded(self, encoded: str, steps: tuple[str | int, ...]) -> Any:
        numbers = _floats(encoded)
        first = [_rounded(number) for number in numbers[:_FIRST]]
        return self._in_short(numbers, first, steps) or encoded

    def _in_short(
        self, numbers: Sequence[float], first: list[float], steps: tuple[str | int, ...]
    ) -> dict[str, Any] | None:
        norm = _norm(numbers)
        if norm is None:
            return None
        if not self.count:
            self.first = spell(steps)
        self.count += 1
        return {"vector": {"dimensions": len(numbers), "norm": norm, "first": first}}


def _norm(numbers: Sequence[Any]) -> float | None:
    """The Euclidean norm, or None if this is not a vector."""
    if len(numbers) < MIN_DIMENSIONS or not all(type(number) in (int, float) for number in numbers):
        return None
    try:
        norm = math.hypot(*numbers)
    except OverflowError:
        return None
    return _rounded(norm) if math.isfinite(norm) else None


def _rounded(number: float) -> float:
    """To what a 32-bit float can tell."""
    return float(f"{number:.{_DIGITS}g}")


def _floats(encoded: str) -> Sequence[float]:
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        return []
    if len(data) % _FLOAT_BYTES:
        return []
    numbers = array("f", data)
    if byteorder == "big":
        numbers.byteswap()
    return numbers
