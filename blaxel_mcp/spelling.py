"""What a misspelled name was meant to be."""

import difflib
from collections.abc import Iterable

# A little under difflib's own 0.6, so that `tmeout` leads to `timeout_seconds`.
_LIKENESS = 0.5


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely stands for; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=_LIKENESS)), None)
