"""Validation of request bodies against JSON Schema, independent of how each provider words a refusal.

A provider's schema is closed at the top: it names every field that the provider documents and
refuses the rest.
"""

from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

BodySchema = dict[str, Any]
FlawKind = Literal["unknown", "missing", "type", "value"]

ANYTHING: BodySchema = {}
TEXT: BodySchema = {"type": "string"}
FLAG: BodySchema = {"type": "boolean"}
COUNT: BodySchema = {"type": "integer", "minimum": 1}
"""Includes 3.0, as every `integer` of JSON Schema."""

NUMBER: BodySchema = {"type": "number"}
OBJECT: BodySchema = {"type": "object"}
WORDS: BodySchema = {"type": "array", "items": TEXT}
BASE64: BodySchema = {"type": "string", "pattern": r"^[A-Za-z0-9+/_-]+={0,2}$"}

JSON_SCHEMA: BodySchema = {"type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema"}
"""A JSON Schema; the flaw names the part that is wrong. The metaschema comes with the validator and is not fetched."""

WHOLE_JSON_SCHEMA: BodySchema = {"type": "object", "format": "json-schema"}
"""A JSON Schema, its regular expressions and URIs included; the flaw names the schema as a whole."""

_EXPECTED = {
    "minimum": "a number of at least {}",
    "maximum": "a number of at most {}",
    "minItems": "an array of at least {}",
    "maxItems": "an array of at most {}",
    "minLength": "a text that is not empty",
    "maxLength": "a text of at most {} characters",
    "pattern": "a text in the documented form",
    "const": "{}",
}

_FORMATS = FormatChecker(formats=())
_Validator = extend(  # type: ignore[no-untyped-call] # jsonschema does not annotate it
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "int", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
"""JSON Schema's `integer` includes 1.0; the type `int` does not."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first error in a body.

    Args:
        kind: An unknown field, a missing field, a value of the wrong type, or a value out of range.
        path: Field names and array positions, from the root to the field in question.
        expected: The values allowed there: type names joined by " or " for the kind `type`, a noun
            phrase for `value`, empty otherwise.
    """

    kind: FlawKind
    path: tuple[str | int, ...]
    expected: str = ""


def first_flaw(schema: BodySchema, body: dict[str, Any]) -> Flaw | None:
    """Return the first error in a body; None when the body matches its schema."""
    try:
        error: ValidationError | None = next(_Validator(schema, format_checker=_FORMATS).iter_errors(body), None)
    except RecursionError:
        return Flaw("value", (), "a body that nests less deeply")
    return None if error is None else _flaw(error)


@_FORMATS.checks("json-schema")
def _is_json_schema(value: object) -> bool:
    """Report whether an object is a valid JSON Schema; other types pass, as with every JSON Schema format."""
    try:
        Draft202012Validator.check_schema(value if isinstance(value, dict) else {})
    except (SchemaError, RecursionError):
        return False
    return True


def without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without its null fields, for the providers that treat null as absent."""
    return {name: value for name, value in body.items() if value is not None}


def closed(*required: str, **properties: BodySchema) -> BodySchema:
    """Return the schema of an object with these fields only."""
    return {**fields(*required, **properties), "additionalProperties": False}


def fields(*required: str, **properties: BodySchema) -> BodySchema:
    """Return the schema of an object with these fields; other fields are not checked."""
    return {"type": "object", "properties": properties, "required": list(required)}


def one_of(*values: str) -> BodySchema:
    """Return the schema of an enumeration of strings."""
    return {"type": "string", "enum": list(values)}


def array(items: BodySchema, *, at_least: int = 0, at_most: int | None = None) -> BodySchema:
    """Return the schema of an array."""
    schema = {"type": "array", "items": items, "minItems": at_least}
    return schema if at_most is None else {**schema, "maxItems": at_most}


def text_or_array(items: BodySchema) -> BodySchema:
    """Return the schema of a string or an array."""
    return {"type": ["string", "array"], "items": items}


def number(minimum: float, maximum: float) -> BodySchema:
    """Return the schema of a number in a range."""
    return {"type": "number", "minimum": minimum, "maximum": maximum}


def integer(minimum: int, maximum: int) -> BodySchema:
    """Return the schema of an integer in a range, written without a decimal point."""
    return {"type": "int", "minimum": minimum, "maximum": maximum}


def tagged(field: str, variants: dict[str, BodySchema], *, open_tags: tuple[str, ...] = ()) -> BodySchema:
    """Return the schema of an object in variants, which the value of a field selects and which omit that field.

    Objects with a value of `open_tags` are not checked.
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
    rule: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            return Flaw("unknown", (*path, next(name for name in value if name not in schema["properties"])))
        case "required":
            return Flaw("missing", (*path, next(name for name in rule if name not in value)))
        case "type":
            return Flaw("type", path, " or ".join([rule] if isinstance(rule, str) else rule))
        case "enum":
            return Flaw("value", path, f"one of {', '.join(rule)}")
    expected = _EXPECTED.get(str(error.validator), "a valid JSON Schema").format(rule)
    return Flaw("value", path, schema.get("description", expected))
