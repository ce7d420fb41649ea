"""Sums in questions are computed without evaluating them as code."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.emulator.apis.arithmetic import answer_sum
from tests.properties.examples import tried

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "x": operator.mul, "/": operator.truediv}

operands = st.integers(1, 10_000)


@tried(100)
@given(left=operands, sign=st.sampled_from(list(OPERATORS)), right=operands)
def test_a_sum_is_answered_with_its_value(left: int, sign: str, right: int) -> None:
    answer = answer_sum(f"What is {left} {sign} {right}?")

    assert answer is not None
    question, _, value = answer.partition(" = ")
    assert question == f"{left} {sign} {right}"
    assert float(value) == pytest.approx(OPERATORS[sign](left, right))


@tried(300)
@given(text=st.text("0123456789+-*/%^x÷(). ", max_size=60))
def test_whatever_looks_like_a_sum_is_answered_or_left_alone(text: str) -> None:
    answer = answer_sum(text)

    assert answer is None or "=" in answer or "has no value" in answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2^10 - 24", "2^10 - 24 = 1000"),
        ("+7 // 2", "+7 // 2 = 3"),
        ("7 % 4 * 1.5", "7 % 4 * 1.5 = 4.5"),
        ("9**9**9**9", None),
        ("9" * 300 + " + 1", None),
        ("(" * 150 + "1" + ")" * 149, None),
        ("(-8)^0.5", None),
        ("999999.0^50 * 999999.0^50", None),
        ("999999^60 * 1.5", None),
        ("1 (2)", None),
        ("42", None),
    ],
)
def test_a_sum_has_its_usual_order_and_its_limits(text: str, answer: str | None) -> None:
    assert answer_sum(text) == answer


@pytest.mark.parametrize("middle", [" ", ". ", "( ", "1 "])
def test_a_long_question_takes_no_time_of_its_own(middle: str) -> None:
    # Tried by the pattern, most of these would take minutes.
    assert answer_sum(f"What is {middle * 200_000}a") is None
