"""What the benchmark of failing replicas recognizes as a fault of ours."""

import pytest

from benchmarks.faults import Story, problems

FINE = {"one": 1, "other": 1, "gone": 1}


def story() -> Story:
    answers = {"one": ["call_1"], "other": ["call_2", "call_2"]}
    return Story(answers=answers, unbilled={"refused": "budget_exceeded"}, uncertain={"gone": "x", "unsent": "x"})


@pytest.mark.parametrize("ledger", [3, 4])
def test_a_call_counts_that_a_killed_replica_may_have_sent(ledger: int) -> None:
    assert problems(story(), FINE, 4, ledger) == []


@pytest.mark.parametrize(
    ("counts", "ledger", "problem"),
    [
        ({**FINE, "one": 2}, 4, "the upstream got a call twice (1)"),
        ({**FINE, "refused": 1}, 4, "a call that was said to be unbilled was sent (1)"),
        ({"other": 1, "gone": 1}, 3, "an answer without a request (1)"),
        (FINE, 2, "the upstream got 3 calls, and the ledger has 2 (1)"),
        (FINE, 5, "the upstream got 3 calls, and the ledger has 5 (1)"),
    ],
)
def test_each_wrong_count_is_told(counts: dict[str, int], ledger: int, problem: str) -> None:
    assert problem in problems(story(), counts, 9, ledger)


def test_a_cap_that_was_passed_is_told() -> None:
    assert problems(story(), FINE, 2, 3) == ["the cap of 2 was passed (2)"]


def test_answers_that_were_mixed_up_are_told() -> None:
    mixed = story()
    mixed.answers = {"one": ["call_1"], "other": ["call_1", "call_2"]}

    assert problems(mixed, FINE, 9, 3) == ["one answer for two calls (1)", "two answers for one call (1)"]
