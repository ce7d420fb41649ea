"""Sums in a question, worked out without ever running what the question says."""

import ast
import math
import operator
import re
from collections.abc import Callable

_LONGEST_QUESTION = 200
_LARGEST_POWER = 64
_LARGEST_BASE = 10**6

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
    """Return "17 * 23 = 391" for "What is 17 * 23?"; None when the text asks for no sum."""
    question = _QUESTION.fullmatch(text.strip())
    if question is None or len(text) > _LONGEST_QUESTION:
        return None
    written = question[1].strip().rstrip(".")
    try:
        tree = ast.parse(_python_notation(written), mode="eval").body
        if isinstance(tree, ast.Constant):
            return None
        return f"{written} = {_plain(_evaluate(tree))}"
    except ZeroDivisionError:
        return f"{written} has no value: it divides by zero."
    except (SyntaxError, ValueError, OverflowError):
        return None


def _python_notation(written: str) -> str:
    return re.sub(r"[x×]", "*", written, flags=re.IGNORECASE).replace("÷", "/").replace("^", "**")  # noqa: RUF001 - as above


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
    if abs(base) > _LARGEST_BASE or abs(exponent) > _LARGEST_POWER:
        raise ValueError("too large to work out here")
    if base < 0 and exponent != int(exponent):
        raise ValueError("not a real number")
    value: float = base**exponent
    return value


def _plain(value: float) -> str:
    if not math.isfinite(value):
        raise OverflowError("too large to work out here")
    return str(value) if isinstance(value, int) else f"{value:.12g}"
