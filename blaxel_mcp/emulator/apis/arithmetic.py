"""Sums in a question, computed without evaluating the question as code."""

import ast
import math
import operator
import re
from collections.abc import Callable

_MAX_QUESTION_CHARACTERS = 200
_MAX_EXPONENT = 64
_MAX_BASE = 10**6

_QUESTION = re.compile(
    r"(?:what is|what's|how much is|calculate|compute|evaluate)?\s*([-+(\s]*\d[-+*/%^×÷x().\d\s]*)[\s=?.!]*",  # noqa: RUF001 - the sign is what people type
    re.IGNORECASE,
)

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def answer_sum(text: str) -> str | None:
    """Return "17 * 23 = 391" for "What is 17 * 23?"; None when the text is not a sum."""
    # Checked first: the time of the pattern is quadratic in the length of white space.
    question = None if len(text) > _MAX_QUESTION_CHARACTERS else _QUESTION.fullmatch(text.strip())
    if question is None:
        return None
    expression = question[1].strip().rstrip(".")
    python = re.sub(r"[x×]", "*", expression, flags=re.IGNORECASE).replace("÷", "/").replace("^", "**")  # noqa: RUF001 - as above
    try:
        tree = ast.parse(python, mode="eval").body
        if isinstance(tree, ast.Constant):
            return None
        value = _evaluate(tree)
        if not math.isfinite(value):
            return None
    except ZeroDivisionError:
        return f"{expression} has no value: it divides by zero."
    except (SyntaxError, ValueError, OverflowError):
        return None
    return f"{expression} = {value if isinstance(value, int) else f'{value:.12g}'}"


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_evaluate(left), _evaluate(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
    raise ValueError("not a sum")


def _power(base: float, exponent: float) -> float:
    if abs(base) > _MAX_BASE or abs(exponent) > _MAX_EXPONENT:
        raise ValueError("too large to compute here")
    if base < 0 and exponent != int(exponent):
        raise ValueError("not a real number")
    value: float = base**exponent
    return value
