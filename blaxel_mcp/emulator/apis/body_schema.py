"""Request bodies held to a JSON Schema, and what is wrong with one, told apart from how a provider says it.

A provider's schema here is closed: it names every field that the provider documents, and
refuses the rest.
"""

from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

Schema = dict[str, Any]
FlawKind = Literal["unknown", "missing", "type", "value"]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 1}
NUMBER: Schema = {"type": "number"}
OBJECT: Schema = {"type": "object"}
WORDS: Schema = {"type": "array", "items": TEXT}
BASE64: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9+/_-]+={0,2}$"}
JSON_SCHEMA: Schema = {"type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema"}
"""A JSON Schema of an object's kind; the metaschema comes with the validator and is not fetched."""

_EXPECTED = {
    "minimum": "a number of at least {}",
    "maximum": "a number of at most {}",
    "minItems": "an array of at least {}",
    "maxItems": "an array of at most {}",
    "minLength": "a text that is not empty",
    "pattern": "a text in the documented form",
    "const": "{}",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing that is wrong with a body.

    Args:
        kind: A field too many, a field too few, a value of another type, or one out of range.
        path: Where: names of fields and positions in arrays, from the root to the field in question.
        expected: What belongs there; empty where the kind says it all.
    """

    kind: FlawKind
    path: tuple[str | int, ...]
    expected: str = ""


def first_flaw(schema: Schema, body: dict[str, Any]) -> Flaw | None:
    """Return what is wrong with a body; None when it fits its schema."""
    try:
        error = next(Draft202012Validator(schema).iter_errors(body), None)
    except RecursionError:
        return Flaw("value", (), "a body that nests less deeply")
    return None if error is None else _flaw(error)


def without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without its null fields, for the providers to whom null means absent."""
    return {name: value for name, value in body.items() if value is not None}


def closed(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an object that has these fields alone."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def one_of(*values: str) -> Schema:
    """Return the schema of one of a few words."""
    return {"type": "string", "enum": list(values)}


def array(items: Schema, *, at_least: int = 0, at_most: int | None = None) -> Schema:
    """Return the schema of an array."""
    schema = {"type": "array", "items": items, "minItems": at_least}
    return schema if at_most is None else {**schema, "maxItems": at_most}


def text_or_array(items: Schema) -> Schema:
    """Return the schema of a text, or of an array in its place."""
    return {"type": ["string", "array"], "items": items}


def number(minimum: float, maximum: float) -> Schema:
    """Return the schema of a number in a range."""
    return {"type": "number", "minimum": minimum, "maximum": maximum}


def tagged(field: str, variants: dict[str, Schema], *, open_tags: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object whose form one of its fields tells.

    Args:
        field: The field that tells.
        variants: The closed schema of each form, without that field.
        open_tags: Forms that the provider has and whose fields are not looked at here.
    """
    branches = [
        {
            "if": {"properties": {field: {"const": tag}}, "required": [field]},
            "then": {**variant, "properties": {field: ANYTHING, **variant["properties"]}},
        }
        for tag, variant in variants.items()
    ]
    return {
        "type": "object",
        "required": [field],
        "properties": {field: one_of(*variants, *open_tags)},
        "allOf": branches,
    }


def _flaw(error: ValidationError) -> Flaw:
    path: tuple[str | int, ...] = tuple(error.absolute_path)
    value: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            return Flaw("unknown", (*path, next(name for name in instance if name not in schema["properties"])))
        case "required":
            return Flaw("missing", (*path, next(name for name in value if name not in instance)))
        case "type":
            return Flaw("type", path, " or ".join([value] if isinstance(value, str) else value))
        case "enum":
            return Flaw("value", path, f"one of {', '.join(value)}")
    return Flaw("value", path, _EXPECTED.get(str(error.validator), "a valid JSON Schema").format(value))
