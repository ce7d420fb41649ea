"""Validation of tool arguments, with repairs for two things that clients are known to send.

The SDK's low-level server does not check arguments against a tool's schema. Clients send null
for every optional argument that was omitted, and an object or array encoded as a JSON string.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing import Registry

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal, shorten
from blaxel_mcp.core.suggestions import closest

_MAX_PROBLEMS = 5
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_CONTAINERS: dict[str, type] = {"object": dict, "array": list}
_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


class ArgumentValidator:
    """Validates the arguments of one tool against its schema.

    Args:
        schema: A JSON Schema (draft 2020-12) whose root is an object. References outside the
            schema are never fetched.
        advertised: The schema shown to clients, if it is narrower than `schema`. It decides which
            arguments are repaired: those that it types as an object or array may arrive as a JSON string.
        owner: The schema's name in error messages.

    Raises:
        ConfigurationError: the schema is not valid.
    """

    def __init__(self, schema: Mapping[str, Any], *, advertised: Mapping[str, Any] | None = None, owner: str) -> None:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ConfigurationError(
                f"{owner} is not a valid JSON Schema: {error.json_path}: {shorten(error.message)}.",
                hint="Fix it in the settings file.",
            ) from None
        if schema.get("type") != "object":
            raise ConfigurationError(
                f"{owner} does not describe an object.",
                hint='Tools take named arguments: set "type": "object" and "properties" in the schema.',
            )
        if reference := next(_outside_references(schema), None):
            raise ConfigurationError(
                f"{owner} has a reference outside itself: {shorten(reference)}.",
                hint="Copy the definition into the schema; references are never fetched.",
            )
        self._advertised: Mapping[str, Any] = (advertised or schema).get("properties", {})
        self._containers = {name: _container_types(argument) for name, argument in self._advertised.items()}
        self._required = frozenset(schema.get("required", ()))
        self._validator = Draft202012Validator(schema, registry=Registry())

    def validate(self, arguments: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
        """Return the arguments, repaired and validated, and one sentence for each repair.

        Raises:
            InvalidArgumentsError: they do not match the schema; the message has the JSON path of each
                problem and what is expected there.
        """
        _check_values(arguments)
        values: JSONObject = {}
        repairs: list[str] = []
        for name, value in arguments.items():
            if value is None and self._is_omission(name):
                continue
            containers = self._containers.get(name, ())
            decoded = decode_json_string(value) if containers and isinstance(value, str) else None
            if isinstance(decoded, containers):
                kind = "object" if isinstance(decoded, dict) else "array"
                repairs.append(f"{name} was a JSON string and was parsed as an {kind}")
                values[name] = decoded
            else:
                values[name] = value
        if repairs:
            # The first check saw a repaired value as one string.
            _check_values(values)
        errors = sorted(self._validator.iter_errors(values), key=lambda error: list(map(str, error.path)))
        if errors:
            raise InvalidArgumentsError(
                f"Invalid arguments: {'; '.join(map(_problem, errors[:_MAX_PROBLEMS]))}.",
                hint="Fix them and call again; nothing was sent.",
            )
        return values, repairs

    def _is_omission(self, name: str) -> bool:
        """Whether null for this argument means that it was omitted: it is optional and cannot be null."""
        if name not in self._advertised or name in self._required:
            return False
        return not self._validator.evolve(schema=self._advertised[name]).is_valid(None)


def decode_json_string(text: str) -> Any:
    """Return the value in a string of JSON, also if quoted twice or in a Markdown fence; None if it is not JSON."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = json_text.parse(fenced[1] if fenced else text)
        return json_text.parse(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _check_values(arguments: Mapping[str, Any]) -> None:
    """Reject values that no request body can hold, before anything recurses into them."""
    left: list[tuple[Any, int]] = [(arguments, 1)]
    while left:
        value, depth = left.pop()
        if depth > json_text.MAX_DEPTH:
            raise InvalidArgumentsError(
                f"The arguments nest more than {json_text.MAX_DEPTH} levels deep.",
                hint="Flatten them and call again; nothing was sent.",
            )
        if isinstance(value, Mapping):
            left += ((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            left += ((inner, depth + 1) for inner in value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentsError(
                f"The arguments contain {value}, a number that JSON cannot represent.",
                hint="Omit it or use a finite number, and call again; nothing was sent.",
            )


def _container_types(schema: Any) -> tuple[type, ...]:
    """Return the Python types of the objects and arrays that an argument may be; none if it may be a string."""
    kinds = schema.get("type", ()) if isinstance(schema, Mapping) else ()
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    return () if "string" in kinds else tuple(_CONTAINERS[kind] for kind in kinds if kind in _CONTAINERS)


def _problem(error: ValidationError) -> str:
    """Describe an error at its deepest place: the JSON path, and what is expected there."""
    deepest = best_match([error]) or error
    return f"{deepest.json_path}: {_expectation(deepest)}"


def _expectation(error: ValidationError) -> str:
    value: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "type":
            expected = value if isinstance(value, str) else " or ".join(value)
            actual = "" if instance is None else f" {_as_json(instance)}"
            return f"expected {expected}, got {_TYPE_NAMES.get(type(instance), 'null')}{actual}"
        case "enum":
            return f"expected one of {', '.join(json_text.dump(item) for item in value)}, got {_as_json(instance)}"
        case "required":
            missing = next((name for name in value if name not in instance), value[0])
            return f"{missing!r} is required"
        case "additionalProperties" if isinstance(instance, Mapping):
            known: Mapping[str, Any] = schema.get("properties", {})
            unknown = next((name for name in instance if name not in known), "")
            suggestion = closest(unknown, known)
            return f"unknown property {literal(unknown)}" + (f", did you mean {suggestion!r}?" if suggestion else "")
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "minLength" | "minItems" | "maxItems":
            return f"expected {error.validator} {value}, got {_as_json(instance)}"
    return shorten(error.message)


def _as_json(value: Any) -> str:
    try:
        return shorten(json_text.dump(value))
    except ValueError:
        return shorten(repr(value))


def _outside_references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield reference
        for value in schema.values():
            yield from _outside_references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _outside_references(value)
