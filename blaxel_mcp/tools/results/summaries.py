"""Summaries of what no agent reads: embedding vectors, signatures and encrypted content."""

import math
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blaxel_mcp.apis.retrieval import decode_floats
from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.json_text import run_finder
from blaxel_mcp.tools.results.media import Replace, Steps, replace_parts
from blaxel_mcp.tools.results.truncation import AnswerRef

_MIN_DIMENSIONS = 16
"""Shorter arrays of numbers are more likely scores or coordinates, which are worth reading."""

_has_numbers = run_finder("0123456789.,+-eE \t\r\n", 2 * _MIN_DIMENSIONS - 1)
_FIRST_NUMBERS = 5
_FLOAT_DIGITS = 7
"""The precision of a 32-bit float."""

_MIN_OPAQUE, _MIN_OPAQUE_IN_SHORT = 200, 1000
"""Characters of the shortest opaque string that is summarized in a long answer, and in a short one."""

_may_hold_opaque = run_finder(string.ascii_letters + string.digits + "_+/=\\.~-", _MIN_OPAQUE)
"""Returns whether JSON has a run of characters, escapes included, as an opaque string is one."""

_OPAQUE = re.compile(r"[\w+/=.~-]+", re.ASCII)
_HEAD = 400
_MIN_DISTINCT = 24
"""Minimum of distinct characters among the first `_HEAD` ones of random base64."""

_TEXT_NAMES = frozenset({"arguments", "content", "generated_text", "input", "output_text", "reasoning_content", "text"})
"""Members with the model's own text, which agents read even if it is base64."""

_MAX_POINTER = 120


def summarize(value: Any, text: str, ref: AnswerRef, *, is_long: bool, may_hold_data: bool = True) -> tuple[Any, str]:
    """Return an answer with its vectors and opaque strings summarized, and a remark on these.

    Its JSON, and `may_hold_data`, which is `may_hold_base64` of it, show faster than a walk over the values that there
    is nothing to summarize. In an answer that is not long, only long opaque strings are summarized.
    """
    remarks: list[str] = []
    if is_long and ("embedding" in text or _has_numbers(text)):
        value, pointers = summarize_vectors(value)
        remarks += _remarks(pointers, "vector", ref)
    if may_hold_data and len(text) > _MIN_OPAQUE_IN_SHORT and _may_hold_opaque(text):
        value, pointers = _summarize_opaque(value, _MIN_OPAQUE if is_long else _MIN_OPAQUE_IN_SHORT)
        remarks += _remarks(pointers, "opaque string", ref)
    return value, " ".join(remarks)


def _remarks(pointers: Sequence[str], noun: str, ref: AnswerRef) -> Iterator[str]:
    if pointers:
        summarized = f"One {noun} is" if len(pointers) == 1 else f"{len(pointers):,} {noun}s are"
        yield f"{summarized} summarized. {ref.hint('Read one in full with', pointers[0])}"


def summarize_vectors(value: Any) -> tuple[Any, list[str]]:
    """Return a JSON value with each vector as `{"vector": {"dimensions", "norm", "first"}}`, and their JSON Pointers.

    Vectors are arrays of numbers, and embeddings in base64, as OpenAI's `encoding_format: "base64"` returns them:
    little-endian float32.
    """

    def vector(part: Any, steps: Steps, beside: Mapping[str, Any]) -> dict[str, Any] | None:
        if isinstance(part, list):
            return _vector(part, part[:_FIRST_NUMBERS])
        if isinstance(part, str) and steps[-1:] == ("embedding",) and beside.get("object") == "embedding":
            numbers = decode_floats(part)
            return _vector(numbers, [_rounded(number) for number in numbers[:_FIRST_NUMBERS]])
        return None

    return _summarized(value, vector)


def _vector(numbers: Sequence[Any], first: list[float]) -> dict[str, Any] | None:
    """Return the summary of a vector; None if these numbers are not a vector."""
    if len(numbers) < _MIN_DIMENSIONS or not all(type(number) in (int, float) for number in numbers):
        return None
    try:
        norm = math.hypot(*numbers)
    except OverflowError:
        return None
    if not math.isfinite(norm):
        return None
    return {"vector": {"dimensions": len(numbers), "norm": _rounded(norm), "first": first}}


def _rounded(number: float) -> float:
    return float(f"{number:.{_FLOAT_DIGITS}g}")


def _summarize_opaque(value: Any, minimum: int) -> tuple[Any, list[str]]:
    def note(part: Any, steps: Steps, _: Mapping[str, Any]) -> str | None:
        if not isinstance(part, str) or len(part) < minimum or _TEXT_NAMES.intersection(steps[-1:]):
            return None
        head = part[:_HEAD]
        is_mixed = any(map(str.isdigit, head)) and head.lower() != head != head.upper()
        if not is_mixed or len(set(head)) < _MIN_DISTINCT or not _OPAQUE.fullmatch(part):
            return None
        pointer = spell(steps)
        place = f", at {pointer}" if len(pointer) <= _MAX_POINTER else ""
        return f"[{len(part):,} characters of opaque data{place}]"

    return _summarized(value, note)


def _summarized(value: Any, summary_of: Replace) -> tuple[Any, list[str]]:
    pointers: list[str] = []

    def replace(part: Any, steps: Steps, beside: Mapping[str, Any]) -> Any:
        summary = summary_of(part, steps, beside)
        if summary is not None:
            pointers.append(spell(steps))
        return summary

    return replace_parts(value, replace), pointers
