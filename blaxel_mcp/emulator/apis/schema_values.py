"""A small value that satisfies a JSON Schema, filled from a text."""

import math
import re
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MAX_DEPTH = 16


def value_for(schema: dict[str, Any], text: str, depth: int = _MAX_DEPTH) -> Any:
    """Return a value of the schema's type: strings hold the text, numbers the first number in it.

    Objects get their required properties, or all of them when none is required.

    Args:
        schema: The JSON Schema.
        text: The text to fill in.
        depth: Levels of nesting to fill in; deeper objects and arrays are empty.
    """
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0] if kind else "object"
    if kind == "object":
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not depth:
            return {}
        names = schema.get("required") or list(properties)
        return {name: value_for(_subschema(properties.get(name)), text, depth - 1) for name in names}
    if kind == "array":
        return [value_for(_subschema(schema.get("items")), text, depth - 1)] if depth and schema.get("minItems") else []
    return _scalar(kind, schema, text)


def _subschema(schema: Any) -> dict[str, Any]:
    """Return a schema within another; one that is absent or boolean allows a string."""
    return schema if isinstance(schema, dict) else {"type": "string"}


def _scalar(kind: str, schema: dict[str, Any], text: str) -> Any:
    if kind == "string":
        return text
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    number = _NUMBER.search(text)
    value = float(number[0]) if number else 0.0
    value = max(value, schema.get("minimum", value))
    return math.ceil(value) if kind == "integer" else value
