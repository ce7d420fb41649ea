"""What a misspelled name was meant to be."""

import difflib
from collections.abc import Iterable

# A little under difflib's own 0.6, so that `tmeout` leads to `timeout_seconds`.
_LIKENESS = 0.5
_ABOUT = 0.1


def closest_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known name that `name` most likely stands for, and those that are about as near, the nearest first."""
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=_LIKENESS)
    return [other for other in near if _likeness(name, other) >= _likeness(name, near[0]) - _ABOUT]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely stands for; None where none is near."""
    return next(iter(closest_names(name, known, 1)), None)


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(a=other, b=name).ratio()
