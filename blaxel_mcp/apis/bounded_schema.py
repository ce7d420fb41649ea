"""JSON Schema validation with bounded work, whatever the schema in the settings and the arguments of the caller.

`jsonschema` by itself collects every error of each alternative (3.6 kB each), compares unique items pairwise, and
matches patterns with Python's `re`, which can take forever. Alternatives within a recursive schema double the work with
each level. Here errors stop at the first five, the steps of such keywords are counted, and patterns are matched by the
engine that pydantic brings, in linear time.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError as InvalidSchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal, shorten

MAX_PROBLEMS = 5

_MIN_STEPS, _STEPS_PER_VALUE, _MAX_STEPS = 5000, 20, 100_000
"""Steps of one validation, by the number of values. At most, they take some seconds in a thread. A plain schema needs
none."""

_MAX_COMPARED = 1000
"""Items or properties for keywords that compare each with each."""

_MAX_MATCHED = 2_000_000
"""Characters that a pattern is matched against, divided by its size if it repeats by count. Matching them takes up to a
tenth of a second, in which no other call proceeds."""

_MATCHED_PER_STEP = 2000

_PLAIN = frozenset(
    (
        *("type", "properties", "required", "items", "prefixItems", "additionalProperties", "enum", "const"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
        *("minItems", "maxItems", "minProperties", "maxProperties", "title", "description", "default", "examples"),
        *("deprecated", "readOnly", "writeOnly", "format", "$comment", "$schema"),
    )
)
"""Keywords whose work grows with the size of the arguments, and no faster."""

_MAPS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_DATA = frozenset(("default", "const", "enum", "examples", "required", "dependentRequired"))

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)

_steps_left: ContextVar[list[int]] = ContextVar("steps_left")


class BoundedSchema:
    """A JSON Schema (draft 2020-12) that validates with bounded work.

    Args:
        schema: The schema.
        owner: Its name in error messages.

    Raises:
        ConfigurationError: A pattern cannot be matched in linear time, a reference leads nowhere, or keywords cannot be
            combined.

    Attributes:
        is_plain: Whether small arguments are validated in a few milliseconds. Otherwise use a thread.
    """

    def __init__(self, schema: Mapping[str, Any], owner: str) -> None:
        keywords = {keyword for part in subschemas(schema) for keyword in part}
        if {"patternProperties", "unevaluatedProperties"} <= keywords:
            raise ConfigurationError(
                f"{owner} has both `patternProperties` and `unevaluatedProperties`.",
                hint="Use `additionalProperties` instead of `unevaluatedProperties`.",
            )
        _check_patterns(schema, owner)
        _check_references(schema, owner)
        self.is_plain = keywords <= _PLAIN
        drop_open = "unevaluatedProperties" not in keywords
        self._validator = _BoundedValidator(_simplified(schema, drop_open=drop_open), registry=Registry())

    def problems(self, value: Any) -> list[ValidationError]:
        """Return the first problems of a value, at most five.

        Raises:
            InvalidArgumentsError: The value takes too many steps to validate.
        """
        _steps_left.set([_MAX_STEPS if self.is_plain else _allowed_steps(value)])
        try:
            return list(islice(self._validator.iter_errors(value), MAX_PROBLEMS))
        except RecursionError:
            raise InvalidArgumentsError(
                "The arguments nest too deeply for this tool's schema.",
                hint="Flatten them and call again; nothing was sent.",
            ) from None

    def accepts(self, part: Any, value: Any) -> bool:
        """Return whether a part of the schema accepts a value."""
        _steps_left.set([_MIN_STEPS])
        try:
            return bool(self._validator.evolve(schema=part).is_valid(value))
        except (RecursionError, InvalidArgumentsError):
            return True


def check_schema(schema: Mapping[str, Any], owner: str) -> None:
    """Check a schema against the specification.

    Raises:
        ConfigurationError: It is not valid.
    """
    try:
        # Without formats: patterns are checked by the engine that matches them.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
    except InvalidSchemaError as error:
        raise ConfigurationError(
            f"{owner} is not a valid JSON Schema: {error.json_path}: {shorten(error.message)}.",
            hint="Fix it in the settings file.",
        ) from None


def _allowed_steps(value: Any) -> int:
    steps, pending = _MIN_STEPS, [value]
    while pending and steps < _MAX_STEPS:
        item = pending.pop()
        steps += _STEPS_PER_VALUE
        if isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item
    return min(steps, _MAX_STEPS)


def subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema inside it, definitions included."""
    if isinstance(schema, list):
        for item in schema:
            yield from subschemas(item)
    elif isinstance(schema, Mapping):
        yield schema
        for keyword, value in schema.items():
            if keyword in _MAPS and isinstance(value, Mapping):
                yield from subschemas(list(value.values()))
            elif keyword not in _DATA:
                yield from subschemas(value)


def _simplified(schema: Any, *, drop_open: bool, names: bool = False) -> Any:
    """Return a copy without `$schema`, at which `jsonschema` goes on with a validator of its own.

    Args:
        schema: The schema, or a part of it.
        drop_open: Whether to omit `additionalProperties` that allow any value, so that not each is looked at.
        names: Whether the keys are names of properties and not keywords.
    """
    if isinstance(schema, list):
        return [_simplified(item, drop_open=drop_open) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value
        if key in _DATA and not names
        else _simplified(value, drop_open=drop_open, names=key in _MAPS and not names)
        for key, value in schema.items()
        if names or not (key == "$schema" or (drop_open and key == "additionalProperties" and value in (True, {})))
    }


def _check_patterns(schema: Mapping[str, Any], owner: str) -> None:
    for part in subschemas(schema):
        names = part.get("patternProperties", {})
        for pattern in (part.get("pattern"), *names):
            if not isinstance(pattern, str):
                continue
            try:
                _matcher(pattern)
            except SchemaError as error:
                reason = str(error).rpartition("rror: ")[2].strip().rstrip(".")
                raise ConfigurationError(
                    f"{owner} has the pattern {literal(pattern)}, which cannot be used: {reason}.",
                    hint="Patterns are matched in linear time, so look-around and backreferences are not supported. "
                    "Rewrite the pattern.",
                ) from None


def _check_references(schema: Mapping[str, Any], owner: str) -> None:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for part in subschemas(schema):
        reference = part.get("$ref")
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                raise ConfigurationError(
                    f"{owner} has a reference outside itself, or to nothing: {literal(reference)}.",
                    hint="Copy the definition into the schema; references are never fetched.",
                ) from None


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> tuple[SchemaValidator, int]:
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
    matcher, size = _matcher(pattern)
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


def _first(errors: Iterable[ValidationError]) -> list[ValidationError]:
    """Return the first errors, without their messages, which quote the whole value."""
    first = list(islice(errors, MAX_PROBLEMS))
    for error in first:
        error.message = shorten(error.message)
        error.args = ()
    return first


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


def _any_of(validator: Any, alternatives: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    context: list[ValidationError] = []
    for index, alternative in enumerate(alternatives):
        _spend(1)
        errors = _first(validator.descend(instance, alternative, schema_path=index))
        if not errors:
            return
        context += errors
    yield ValidationError("it matches none of the alternatives", context=context)


def _one_of(validator: Any, alternatives: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    context: list[ValidationError] = []
    matches = 0
    for index, alternative in enumerate(alternatives):
        _spend(1)
        errors = _first(validator.descend(instance, alternative, schema_path=index))
        context += errors
        matches += not errors
        if matches > 1:
            yield ValidationError("it matches more than one of the alternatives")
            return
    if not matches:
        yield ValidationError("it matches none of the alternatives", context=context)


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
    if not isinstance(instance, dict):
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
    "anyOf": _any_of,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_BoundedValidator = extend(Draft202012Validator, _KEYWORDS)  # type: ignore[no-untyped-call] # the library's
