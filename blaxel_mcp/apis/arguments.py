"""Arguments as they arrive, made ready or refused with a reason that an agent can act on.

The SDK's low-level server does not check arguments against a tool's schema, and clients send
two things that no schema allows: null for every optional argument that was left out, and an
object or array spelled as a JSON string.
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


class ArgumentValidator:
    """Reads one tool's arguments by its schema.

    Args:
        schema: A JSON Schema (draft 2020-12) whose root is an object. References outside the
            schema are never fetched.
        advertised: The schema that the client was shown, where it is narrower: an argument that it
            shows as an object or array is expected to arrive spelled as a string now and then.
        owner: Whose schema it is, for the message when it is not one.

    Raises:
        ConfigurationError: the schema is not valid.
    """

    def __init__(self, schema: Mapping[str, Any], *, advertised: Mapping[str, Any] | None = None, owner: str) -> None:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ConfigurationError(
                f"{owner} is not a JSON Schema: {error.json_path}: {shorten(error.message)}.",
                hint="Correct it in the settings file.",
            ) from None
        if schema.get("type") != "object":
            raise ConfigurationError(
                f"{owner} does not describe an object.",
                hint='A tool takes named arguments: give the schema "type": "object" and "properties".',
            )
        if foreign := next(_foreign_references(schema), None):
            raise ConfigurationError(
                f"{owner} refers to {shorten(foreign)}, outside itself.",
                hint="Put the definition into the schema: nothing is fetched to complete one.",
            )
        self._properties: Mapping[str, Any] = schema.get("properties", {})
        self._shown: Mapping[str, Any] = (advertised or schema).get("properties", {})
        self._containers = _container_types(self._shown)
        self._required = frozenset(schema.get("required", ()))
        self._validator = Draft202012Validator(schema, registry=Registry())

    def read(self, arguments: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
        """The arguments ready for use, and a sentence for each repair that was made.

        Raises:
            InvalidArgumentsError: they do not fit; names each JSON path and what was expected there.
        """
        _check_values(arguments)
        ready: JSONObject = {}
        repairs: list[str] = []
        for name, value in arguments.items():
            if value is None and self._may_be_left_out(name):
                continue
            ready[name], repair = self._unspelled(name, value)
            if repair:
                repairs.append(repair)
        if repairs:
            # What a string spelled was one short value until now.
            _check_values(ready)
        self._validate(ready)
        return ready, repairs

    def _may_be_left_out(self, name: str) -> bool:
        if name not in self._shown or name in self._required:
            return False
        return not self._validator.evolve(schema=self._shown[name]).is_valid(None)

    def _unspelled(self, name: str, value: Any) -> tuple[Any, str | None]:
        containers = self._containers.get(name, ())
        if not containers or not isinstance(value, str):
            return value, None
        spelled = spelled_json(value)
        if not isinstance(spelled, containers):
            return value, None
        kind = "object" if isinstance(spelled, dict) else "array"
        return spelled, f"{name} was given as a JSON string and taken as the {kind} that it spells"

    def _validate(self, ready: JSONObject) -> None:
        errors = sorted(self._validator.iter_errors(ready), key=lambda error: list(map(str, error.path)))
        if not errors:
            return
        problems = "; ".join(self._problem(error) for error in errors[:_MAX_PROBLEMS])
        raise InvalidArgumentsError(
            f"The arguments do not fit: {problems}.",
            hint="Correct them and call again; nothing was sent.",
        )

    def _problem(self, error: ValidationError) -> str:
        deepest = best_match([error]) or error
        return f"{deepest.json_path}: {_expectation(deepest, self._properties)}"


def spelled_json(text: str) -> Any:
    """The value that a string spells as JSON, twice quoted or in a Markdown fence; None if it spells none."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = json_text.parse(fenced[1] if fenced else text)
        return json_text.parse(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _check_values(arguments: Mapping[str, Any]) -> None:
    """Refuse what no request body can carry, before anything walks through it to its end."""
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
                f"The arguments hold {value}, a number that JSON cannot write.",
                hint="Leave it out, or give another number; nothing was sent.",
            )


def _container_types(properties: Mapping[str, Any]) -> dict[str, tuple[type, ...]]:
    """Which Python types an argument may have that its schema calls an object or array, and not a string."""
    found = {}
    for name, schema in properties.items():
        kinds = schema.get("type", ()) if isinstance(schema, Mapping) else ()
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if "string" not in kinds:
            found[name] = tuple(_CONTAINERS[kind] for kind in kinds if kind in _CONTAINERS)
    return found


def _expectation(error: ValidationError, properties: Mapping[str, Any]) -> str:
    value: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "type":
            wanted = value if isinstance(value, str) else " or ".join(value)
            given = "" if instance is None else f" {_shown(instance)}"
            return f"expected {wanted}, got {_type_name(instance)}{given}"
        case "enum":
            return f"expected one of {', '.join(json_text.dump(item) for item in value)}, got {_shown(instance)}"
        case "required":
            missing = next((name for name in value if name not in instance), value[0])
            return f"{missing!r} is required"
        case "additionalProperties" if isinstance(instance, Mapping):
            named: Mapping[str, Any] = schema.get("properties", {})
            unknown = next((name for name in instance if name not in named), "")
            guess = closest(unknown, properties)
            return f"there is no {literal(unknown)}" + (f", did you mean {guess!r}?" if guess else "")
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "minLength" | "minItems" | "maxItems":
            return f"expected {error.validator} {value}, got {_shown(instance)}"
    return shorten(error.message)


def _type_name(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _shown(value: Any) -> str:
    try:
        return shorten(json_text.dump(value))
    except ValueError:
        return shorten(repr(value))


def _foreign_references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield reference
        for value in schema.values():
            yield from _foreign_references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _foreign_references(value)
