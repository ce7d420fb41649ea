"""Descriptions of invalid arguments, from the errors of `jsonschema`."""

from collections.abc import Mapping
from typing import Any

from jsonschema.exceptions import ValidationError, best_match

from blaxel_mcp.core import json_text
from blaxel_mcp.core.redaction import literal, shorten
from blaxel_mcp.core.suggestions import closest

_MAX_PATH_CHARS = 200
_MAX_EXPECTED_CHARS = 500
_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


def described(error: ValidationError) -> str:
    """Describe an error at its deepest place: the JSON path, and what is expected there."""
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
