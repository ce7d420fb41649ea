"""Suggestions for misspelled names."""

import difflib
from collections.abc import Iterable

_MIN_SIMILARITY = 0.5
"""A little below difflib's default of 0.6, so that `tmeout` suggests `timeout_seconds`."""

_TOLERANCE = 0.1
"""How much less similar than the best match a further suggestion may be."""


def closest_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return the known name most similar to `name` and those that are about as similar, best first.

    Args:
        name: The misspelled name.
        known: The names that it may stand for.
        limit: The maximum number of names to return.
    """
    matches = difflib.get_close_matches(name, list(known), n=limit, cutoff=_MIN_SIMILARITY)
    return [match for match in matches if _similarity(name, match) >= _similarity(name, matches[0]) - _TOLERANCE]


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`; None if none is similar."""
    return next(iter(closest_names(name, known, 1)), None)


def _similarity(name: str, other: str) -> float:
    return difflib.SequenceMatcher(a=other, b=name).ratio()
