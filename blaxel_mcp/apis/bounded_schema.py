"""JSON Schema validation with bounded work, for any schema in the settings and any arguments of the caller.

`jsonschema` by itself collects every error of each alternative (3.6 kB each), compares unique items pairwise, and
matches patterns with Python's `re`, which can take forever. Alternatives within a recursive schema double the work with
each level. Here errors stop at the first five, the steps of such keywords are counted, and patterns are matched by the
engine that pydantic brings, in linear time.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError as InvalidSchemaError
from jsonschema.exceptions import ValidationError, best_match
from pydantic_core import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from blaxel_mcp.apis.plain_schema import PLAIN_KEYWORDS
from blaxel_mcp.apis.schema_keywords import MAX_PROBLEMS, BoundedValidator, allow_steps, pattern_matcher
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.redaction import literal, shorten
from blaxel_mcp.core.suggestions import closest

_MIN_STEPS, _STEPS_PER_VALUE, _MAX_STEPS = 5000, 20, 100_000
"""Steps of one validation, by the number of values. At most, they take some seconds in a thread. A plain schema needs
none."""

_PLAIN = {*PLAIN_KEYWORDS, "prefixItems"}
"""Keywords whose work grows with the size of the arguments, and no faster."""

_MAPS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_DATA = frozenset(("default", "const", "enum", "examples", "required", "dependentRequired"))

_MAX_PATH_CHARS, _MAX_EXPECTED_CHARS = 200, 500
_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


class BoundedSchema:
    """A JSON Schema that validates with bounded work: `schema`, `owner` and `is_plain` are an `ArgumentValidator`'s.

    Raises:
        ConfigurationError: The schema is not valid, a pattern cannot be matched in linear time, a reference leads
            nowhere, or keywords cannot be combined.
    """

    def __init__(self, schema: Mapping[str, Any], owner: str) -> None:
        try:
            # Without formats: patterns are checked by the engine that matches them.
            Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
        except InvalidSchemaError as error:
            raise ConfigurationError(
                f"{owner} is not a valid JSON Schema: {error.json_path}: {shorten(error.message)}.",
                hint="Fix it in the settings file.",
            ) from None
        parts = list(_subschemas(schema))
        keywords = {keyword for part in parts for keyword in part}
        if {"patternProperties", "unevaluatedProperties"} <= keywords:
            raise ConfigurationError(
                f"{owner} has both `patternProperties` and `unevaluatedProperties`.",
                hint="Use `additionalProperties` instead of `unevaluatedProperties`.",
            )
        resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
        for part in parts:
            _check_patterns(part, owner)
            for reference in (part[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in part):
                try:
                    resolver.lookup(reference)
                except Unresolvable:
                    raise ConfigurationError(
                        f"{owner} has a reference outside itself, or to nothing: {literal(reference)}.",
                        hint="Copy the definition into the schema; references are never fetched.",
                    ) from None
        self.is_plain = keywords <= _PLAIN
        self._validator = BoundedValidator(_without_dialects(schema), registry=Registry())

    def problems(self, value: Any) -> list[str]:
        """Describe the first problems of a value, at most five, in the order of their paths.

        Raises:
            InvalidArgumentsError: The value takes too many steps to validate.
        """
        allow_steps(_MAX_STEPS if self.is_plain else _allowed_steps(value))
        try:
            errors = list(islice(self._validator.iter_errors(value), MAX_PROBLEMS))
        except RecursionError:
            raise InvalidArgumentsError(
                "The arguments nest too deeply for this tool's schema.",
                hint="Flatten them and call again; nothing was sent.",
            ) from None
        errors.sort(key=lambda error: list(map(str, error.path)))
        return list(map(_described, errors))

    def accepts(self, part: Any, value: Any) -> bool:
        """Return whether a part of the schema accepts a value."""
        allow_steps(_MIN_STEPS)
        try:
            return bool(self._validator.evolve(schema=part).is_valid(value))
        except (RecursionError, InvalidArgumentsError):
            return True


def _allowed_steps(value: Any) -> int:
    steps, pending = _MIN_STEPS, [value]
    while pending and steps < _MAX_STEPS:
        item = pending.pop()
        steps += _STEPS_PER_VALUE
        if isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item
    return min(steps, _MAX_STEPS)


def _subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema inside it, definitions included."""
    if isinstance(schema, list):
        for item in schema:
            yield from _subschemas(item)
    elif isinstance(schema, Mapping):
        yield schema
        for keyword, value in schema.items():
            if keyword in _MAPS and isinstance(value, Mapping):
                yield from _subschemas(list(value.values()))
            elif keyword not in _DATA:
                yield from _subschemas(value)


def _without_dialects(schema: Any, *, names: bool = False) -> Any:
    """Return a copy without `$schema`, at which `jsonschema` goes on with a validator of its own.

    `names` says whether the keys are names of properties and not keywords.
    """
    if isinstance(schema, list):
        return list(map(_without_dialects, schema))
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value if key in _DATA and not names else _without_dialects(value, names=key in _MAPS and not names)
        for key, value in schema.items()
        if names or key != "$schema"
    }


def _check_patterns(part: Mapping[str, Any], owner: str) -> None:
    for pattern in (part.get("pattern"), *part.get("patternProperties", {})):
        if not isinstance(pattern, str):
            continue
        try:
            pattern_matcher(pattern)
        except SchemaError as error:
            reason = str(error).rpartition("rror: ")[2].strip().rstrip(".")
            raise ConfigurationError(
                f"{owner} has the pattern {literal(pattern)}, which cannot be used: {reason}.",
                hint="Patterns are matched in linear time, so look-around and backreferences are not supported. "
                "Rewrite the pattern.",
            ) from None


def _described(error: ValidationError) -> str:
    """Return the JSON path of an error's deepest place, and what is expected there."""
    deepest = best_match([error]) or error
    return f"{shorten(deepest.json_path, _MAX_PATH_CHARS)}: {shorten(_expectation(deepest), _MAX_EXPECTED_CHARS)}"


def _expectation(error: ValidationError) -> str:
    value: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "type":
            expected = value if isinstance(value, str) else " or ".join(value)
            return f"expected {expected}, got {_TYPE_NAMES.get(type(instance), 'null')}{_as_json(instance)}"
        case "enum":
            return f"expected one of {', '.join(json_text.dump(item) for item in value)}, got{_as_json(instance)}"
        case "required":
            missing = next((name for name in value if name not in instance), value[0])
            return f"{missing!r} is required"
        case "additionalProperties" if isinstance(instance, Mapping):
            known: Mapping[str, Any] = schema.get("properties", {})
            unknown = shorten(next((name for name in instance if name not in known), ""))
            suggestion = closest(unknown, known)
            return f"unknown property {literal(unknown)}" + (f", did you mean {suggestion!r}?" if suggestion else "")
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"expected {error.validator} {value}, got{_as_json(instance)}"
        case "minLength" | "maxLength" | "minItems" | "maxItems" as limit:
            unit = "characters" if isinstance(instance, str) else "items"
            error.message = f"expected {limit} {value}, got {len(instance):,} {unit}"
    return error.message


def _as_json(value: Any) -> str:
    """Return a space and the value as JSON, shortened; of a large object or array, nothing."""
    if value is None or not json_text.is_small(value):
        return f" {literal(value)}" if isinstance(value, str) else ""
    return f" {shorten(json_text.dump(value))}"
