"""Suggestions for misspelled names."""

import difflib
import re
from collections.abc import Iterable

_MIN_SIMILARITY = 0.5
"""A little below difflib's default of 0.6, so that `tmeout` suggests `timeout_seconds`."""

_MAX_LENGTH_RATIO = 2 / _MIN_SIMILARITY - 1
"""How many times as long as another name a name can be and still have that similarity."""

_TOLERANCE = 0.1
"""How much less similar than the best match a further suggestion may be."""

_ABBREVIATED = 0.9
"""The similarity of a name that consists of the first words of another one, as `chat` does of `chat-completions`."""


def closest_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return the known name most similar to `name` and those that are about as similar, best first."""
    # Any other name is too short to be similar; and to prepare the comparison takes seconds for a name of megabytes.
    others = [other for other in dict.fromkeys(known) if len(name) <= _MAX_LENGTH_RATIO * len(other)]
    if not others:
        return []
    matcher = difflib.SequenceMatcher(b=name)
    scores = sorted(((_similarity(matcher, name, other), other) for other in others), reverse=True)
    lowest = max(_MIN_SIMILARITY, scores[0][0] - _TOLERANCE)
    return [other for score, other in scores[:limit] if score >= lowest]


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`; None if none is similar."""
    return next(iter(closest_names(name, known, 1)), None)


def _similarity(matcher: "difflib.SequenceMatcher[str]", name: str, other: str) -> float:
    """Return how similar two names are, from 0 to 1; 0 if they are not similar at all."""
    scores = [0.0]
    begun = "".join(_pieces(other)[: len(_pieces(name))])
    for text, weight in ((other, 1.0), (begun, _ABBREVIATED)):
        matcher.set_seq1(text)
        if text and matcher.quick_ratio() >= _MIN_SIMILARITY:
            scores.append(weight * matcher.ratio())
    return max(scores)


def _pieces(name: str) -> list[str]:
    """Return the words and separators of a name, such as ["chat", "-", "completions"]."""
    return re.findall(r"[^\W_]+|[\W_]+", name)
