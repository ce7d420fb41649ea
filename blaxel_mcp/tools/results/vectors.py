"""Summaries of embedding vectors, which no agent reads number by number."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from blaxel_mcp.apis.embeddings import decode_floats
from blaxel_mcp.core.json_text import run_finder
from blaxel_mcp.tools.results.replacement import Steps, Summary, summarize

MIN_DIMENSIONS = 16
"""Shorter arrays of numbers are more likely scores or coordinates, which are worth reading."""

_has_numbers = run_finder("0123456789.,+-eE \t\r\n", 2 * MIN_DIMENSIONS - 1)
_FIRST_NUMBERS = 5
_FLOAT_DIGITS = 7


def may_hold_vectors(text: str) -> bool:
    """Return whether JSON may contain a vector, which is faster than a walk over its values."""
    return "embedding" in text or _has_numbers(text)


def summarize_vectors(value: Any) -> Summary:
    """Summarize every vector in a JSON value as `{"vector": {"dimensions", "norm", "first"}}`.

    Vectors are arrays of numbers, and embeddings in base64.
    The latter are what OpenAI's `encoding_format: "base64"` returns: little-endian float32.
    """
    return summarize(value, _vector_in)


def _vector_in(part: Any, steps: Steps, beside: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the summary of a vector; None for any other part."""
    if isinstance(part, list):
        return _summary(part, part[:_FIRST_NUMBERS])
    if isinstance(part, str) and steps[-1:] == ("embedding",) and beside.get("object") == "embedding":
        numbers = decode_floats(part)
        return _summary(numbers, [_rounded(number) for number in numbers[:_FIRST_NUMBERS]])
    return None


def _summary(numbers: Sequence[Any], first: list[float]) -> dict[str, Any] | None:
    if len(numbers) < MIN_DIMENSIONS or not all(type(number) in (int, float) for number in numbers):
        return None
    try:
        norm = math.hypot(*numbers)
    except OverflowError:
        return None
    if not math.isfinite(norm):
        return None
    return {"vector": {"dimensions": len(numbers), "norm": _rounded(norm), "first": first}}


def _rounded(number: float) -> float:
    """Round to the precision of a 32-bit float."""
    return float(f"{number:.{_FLOAT_DIGITS}g}")
