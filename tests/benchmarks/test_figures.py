"""The statistics of the benchmarks."""

import pytest

from benchmarks.figures import Ratio, percentile, ratio, readable


def test_a_ratio_has_the_best_rounds_and_the_median_of_the_rounds() -> None:
    assert ratio([2.0, 3.0, 8.0], [4.0, 4.0, 2.0], more_is_better=False) == Ratio(best=1.0, median=0.75)


def test_the_best_round_of_a_rate_is_the_highest() -> None:
    assert ratio([100.0, 300.0], [100.0, 150.0], more_is_better=True) == Ratio(best=2.0, median=1.5)


@pytest.mark.parametrize(("values", "base"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_there_is_no_ratio_without_rounds_or_to_zero(values: list[float], base: list[float]) -> None:
    assert ratio(values, base, more_is_better=False) is None


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 2), (95, 4), (100, 4)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (45.67, "45.7"), (1234.5, "1,234"), (-2.0, "-2.00")],
)
def test_a_figure_has_three_significant_digits(value: float, text: str) -> None:
    assert readable(value) == text


def test_a_server_of_the_first_rounds_is_compared_with_these_rounds() -> None:
    assert ratio([2.0], [4.0, 1.0], more_is_better=False) == Ratio(best=0.5, median=0.5)
