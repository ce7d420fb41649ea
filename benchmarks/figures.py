"""Statistics of repeated measurements: minimum, median and ratios."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """How the rounds of one server compare with those of another.

    Attributes:
        best: The best round of one by the best round of the other.
        median: The median of the ratios round by round.
    """

    best: float
    median: float


def best(values: Sequence[float], *, more_is_better: bool) -> float:
    """Return the best round: the one that the machine disturbed least."""
    return max(values) if more_is_better else min(values)


def ratio(values: Sequence[float], base: Sequence[float], *, more_is_better: bool) -> Ratio | None:
    """Compare two servers over the same rounds.

    Args:
        values: One value per round.
        base: The values of the other server, in the same order.
        more_is_better: Whether the largest value is the best one.

    Returns:
        The ratio, or None if either has no rounds or a value of the base is zero.
    """
    if not values or not base or 0 in base:
        return None
    # A server may have taken part in the first rounds only.
    base = base[: len(values)]
    by_round = [value / other for value, other in zip(values, base, strict=False)]
    bests = best(values, more_is_better=more_is_better), best(base, more_is_better=more_is_better)
    return Ratio(bests[0] / bests[1], statistics.median(by_round))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least this percentage of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def readable(value: float) -> str:
    """Return a number with three significant digits, or with none after the point from 100 on."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
