"""Validation of tool arguments: what clients are known to write in another form is repaired, the rest is rejected.

The SDK's low-level server does not check arguments against a tool's schema.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from blaxel_mcp.apis.repairs import Shape, add_repair, check_values, decode_json_string
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal, shorten
from blaxel_mcp.core.suggestions import closest

if TYPE_CHECKING:
    # Imported by the first call: `jsonschema` and its meta-schemas take a tenth of the start, and clients wait for it.
    from jsonschema.exceptions import ValidationError

    from blaxel_mcp.apis.bounded_schema import BoundedSchema

_MAX_PATH_CHARS = 200
_MAX_EXPECTED_CHARS = 500
_CONTAINERS: dict[str, type] = {"object": dict, "array": list}
_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}

WHOLE_ARGUMENTS = "arguments"
"""The name under which a client sends all arguments as one string or object, if no argument of the tool has it."""

_WRAPPERS = (WHOLE_ARGUMENTS, "input", "params")


class ArgumentValidator:
    """Validates the arguments of one tool against its schema.

    Args:
        schema: A JSON Schema (draft 2020-12) whose root is an object. References outside the
            schema are never fetched.
        advertised: The schema shown to clients, if it is narrower than `schema`. It decides which
            arguments are repaired: those that it types as an object or array may arrive as a JSON string.
        owner: The schema's name in error messages.
        is_ours: Whether the schema is this project's own, and need not be checked.

    Raises:
        ConfigurationError: the schema is not valid, or has a reference outside itself or a pattern that cannot be
            matched in linear time.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        *,
        advertised: Mapping[str, Any] | None = None,
        owner: str,
        is_ours: bool = False,
    ) -> None:
        if not is_ours:
            from blaxel_mcp.apis.bounded_schema import check_schema  # noqa: PLC0415 - see above

            check_schema(schema, owner)
        if schema.get("type") != "object":
            raise ConfigurationError(
                f"{owner} does not describe an object.",
                hint='Tools take named arguments: set "type": "object" and "properties" in the schema.',
            )
        self._source, self._owner = schema, owner
        self._shape = Shape(schema, schema)
        self._advertised: Mapping[str, Any] = (advertised or schema).get("properties", {})
        self._containers = {name: _container_types(argument) for name, argument in self._advertised.items()}
        if not is_ours:
            _ = self._schema

    @cached_property
    def _schema(self) -> "BoundedSchema":
        from blaxel_mcp.apis.bounded_schema import BoundedSchema  # noqa: PLC0415 - see above

        return BoundedSchema(self._source, self._owner)

    @cached_property
    def is_plain(self) -> bool:
        """Whether small arguments are validated in a few milliseconds. Otherwise use a thread."""
        return self._schema.is_plain

    @cached_property
    def _omissions(self) -> Mapping[str, tuple[str | None, ...]]:
        """Return for each optional argument the values that mean that it was omitted: it cannot have them."""
        return {
            name: tuple(value for value in (None, "") if self._is_omission(value, argument))
            for name, argument in {**self._source.get("properties", {}), **self._advertised}.items()
            if name not in self._source.get("required", ())
        }

    def validate(self, arguments: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
        """Return the arguments, repaired and validated, and one sentence for each repair.

        Raises:
            InvalidArgumentsError: they do not match the schema; the message has the JSON path of each
                problem, for the first five, and what is expected there.
        """
        repairs: list[str] = []
        if len(arguments) == 1 and not arguments.keys() & self._advertised.keys():
            arguments = self._unwrapped(arguments, repairs)
        if not json_text.is_small(arguments):
            check_values((arguments,))
        values: JSONObject = {}
        for name, value in arguments.items():
            if (value is None or value == "") and value in self._omissions.get(name, ()):
                if value is not None:
                    add_repair(repairs, name, "was empty and was omitted")
                continue
            containers = self._containers.get(name, ())
            decoded = decode_json_string(value) if containers and isinstance(value, str) else None
            if decoded is not None and isinstance(decoded, containers):
                kind = "object" if isinstance(decoded, dict) else "array"
                add_repair(repairs, name, f"was a JSON string and was parsed as an {kind}")
                value = decoded  # noqa: PLW2901 - the same argument
                # The first check saw it as one string.
                check_values(({name: value},))
            shape = self._shape.properties.get(name)
            # A text where texts are due needs no repair.
            if shape and not (isinstance(value, str) and "string" in shape.types):
                value = shape.repaired(value, name, repairs)  # noqa: PLW2901 - the same argument
            values[name] = value
        if problems := self._schema.problems(values):
            problems.sort(key=lambda error: list(map(str, error.path)))
            raise InvalidArgumentsError(
                f"Invalid arguments: {'; '.join(map(_problem, problems))}.",
                hint="Fix them and call again; nothing was sent.",
            )
        return values, repairs

    def _unwrapped(self, arguments: Mapping[str, Any], repairs: list[str]) -> Mapping[str, Any]:
        """Return the arguments that stand in a wrapper, as a JSON string or an object; otherwise the ones given."""
        [(wrapper, value)] = arguments.items()
        if wrapper not in _WRAPPERS:
            return arguments
        inner = decode_json_string(value) if isinstance(value, str) else value
        if isinstance(inner, dict) and list(inner) == [wrapper]:
            inner = decode_json_string(inner[wrapper]) if isinstance(inner[wrapper], str) else inner[wrapper]
        if not isinstance(inner, dict) or not (wrapper == WHOLE_ARGUMENTS or inner.keys() & self._advertised.keys()):
            return arguments
        form = "a JSON string" if isinstance(value, str) else "an object"
        add_repair(repairs, "the arguments", f"were {form} in `{wrapper}` and were taken out of it")
        return inner

    def _is_omission(self, value: Any, argument: Any) -> bool:
        """Whether null or an empty string for an optional argument means that it was omitted: it cannot have it."""
        formatted = isinstance(argument, Mapping) and "format" in argument
        return (value == "" and formatted) or not self._schema.accepts(argument, value)


def _container_types(schema: Any) -> tuple[type, ...]:
    """Return the Python types of the objects and arrays that an argument may be; none if it may be a string."""
    kinds = schema.get("type", ()) if isinstance(schema, Mapping) else ()
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    return () if "string" in kinds else tuple(_CONTAINERS[kind] for kind in kinds if kind in _CONTAINERS)


def _problem(error: "ValidationError") -> str:
    """Describe an error at its deepest place: the JSON path, and what is expected there."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - see above

    deepest = best_match([error]) or error
    return f"{shorten(deepest.json_path, _MAX_PATH_CHARS)}: {shorten(_expectation(deepest), _MAX_EXPECTED_CHARS)}"


def _expectation(error: "ValidationError") -> str:
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
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "minLength" | "minItems" | "maxItems":
            return f"expected {error.validator} {value}, got{_as_json(instance)}"
    return error.message


def _as_json(value: Any) -> str:
    """Return a space and the value as JSON, shortened; of a large object or array, nothing."""
    if value is None or not json_text.is_small(value):
        return f" {literal(value)}" if isinstance(value, str) else ""
    return f" {shorten(json_text.dump(value))}"
