"""The keywords of JSON Schema that `jsonschema` validates without a bound: here their steps are counted."""

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaValidator, core_schema

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal, shorten

MAX_PROBLEMS = 5
"""Errors that are collected of each value."""
_MAX_COMPARED = 1000
"""Items or properties for keywords that compare each with each."""

_MAX_MATCHED = 2_000_000
"""Characters that a pattern is matched against, divided by its size if it repeats by count. Matching them takes up to a
tenth of a second, in which no other call proceeds."""

_MATCHED_PER_STEP = 2000
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)

_steps_left: ContextVar[list[int]] = ContextVar("steps_left")


def allow_steps(steps: int) -> None:
    """Let the next validation in this context take so many steps."""
    _steps_left.set([steps])


@lru_cache(maxsize=256)
def pattern_matcher(pattern: str) -> tuple[SchemaValidator, int]:
    """Return a matcher in linear time, and the size of the pattern."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")), _size(pattern)


def _size(pattern: str) -> int:
    """Return about how many elements a pattern has when its counted repetitions are written out; 1 without any."""
    sizes, last, counted = [0], 0, False
    for token in _TOKEN.finditer(pattern):
        if token[1]:
            times = max(int(token[2] or token[1]), 1)
            sizes[-1] += last * (times - 1)
            last, counted = last * times, True
        elif token[0] == "(":
            sizes.append(0)
        elif token[0] == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif token[0] not in "?*+|":
            last = 1
            sizes[-1] += 1
    return max(sum(sizes), 1) if counted else 1


def _matches(pattern: str, text: str) -> bool:
    matcher, size = pattern_matcher(pattern)
    if len(text) * size > _MAX_MATCHED:
        raise InvalidArgumentsError(
            f"A text of {len(text):,} characters is too long for the pattern {literal(pattern)} in this tool's schema.",
            hint="Shorten it and call again; nothing was sent.",
        )
    _spend(1 + len(text) * size // _MATCHED_PER_STEP)
    return matcher.isinstance_python(text)


def _spend(steps: int) -> None:
    left = _steps_left.get()
    left[0] -= steps
    if left[0] < 0:
        raise InvalidArgumentsError(
            "The arguments take too long to validate against this tool's schema.",
            hint="Send fewer or simpler values, and call again; nothing was sent.",
        )


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def _counted(keyword: str, *, max_compared: int | None = None) -> Keyword:
    """Return the library's function for a keyword, with its steps counted and optionally its items limited."""
    check = Draft202012Validator.VALIDATORS[keyword]

    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _spend(1)
        if max_compared and isinstance(instance, dict | list) and len(instance) > max_compared:
            yield ValidationError(f"more than {max_compared} entries cannot be checked for {keyword}")
            return
        yield from check(validator, value, instance, schema) or ()

    return counted


def _alternatives(*, exclusive: bool) -> Keyword:
    """Return the function of `anyOf`, or of `oneOf`, whose alternatives are exclusive."""

    def check(validator: Any, alternatives: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
        context: list[ValidationError] = []
        has_match = False
        for index, alternative in enumerate(alternatives):
            _spend(1)
            errors = list(islice(validator.descend(instance, alternative, schema_path=index), MAX_PROBLEMS))
            for error in errors:
                # The library's message quotes the whole value.
                error.message, error.args = shorten(error.message), ()
            context += errors
            if has_match and not errors:
                yield ValidationError("it matches more than one of the alternatives")
                return
            has_match = has_match or not errors
            if has_match and not exclusive:
                return
        if not has_match:
            yield ValidationError("it matches none of the alternatives", context=context)

    return check


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{literal(instance)} does not match {literal(pattern)}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, subschema in patterns.items():
            for name, item in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(item, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # Most schemas allow any value: not each is looked at.
    if not isinstance(instance, dict) or value in (True, {}):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in instance.items():
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if value is False:
            yield ValidationError(f"unknown property {literal(name)}")
            return
        yield from validator.descend(item, value, path=name)


def _unique_items(_: Any, value: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    if value and isinstance(instance, list) and len({_key(item) for item in instance}) < len(instance):
        yield ValidationError("it has items that are equal")


def _key(value: Any) -> Any:
    """Return a hashable stand-in that is equal for equal JSON values; 1 equals 1.0 and differs from true."""
    _spend(1)
    if isinstance(value, dict):
        return "object", frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_key, value))
    return type(value) is bool, value


_KEYWORDS: JSONObject = {
    **{
        keyword: _counted(keyword)
        for keyword in ("allOf", "not", "if", "$ref", "$dynamicRef", "contains", "propertyNames", "dependentSchemas")
    },
    "unevaluatedItems": _counted("unevaluatedItems", max_compared=_MAX_COMPARED),
    "unevaluatedProperties": _counted("unevaluatedProperties", max_compared=_MAX_COMPARED),
    "anyOf": _alternatives(exclusive=False),
    "oneOf": _alternatives(exclusive=True),
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}

BoundedValidator = extend(Draft202012Validator, _KEYWORDS)  # type: ignore[no-untyped-call] # the library's
