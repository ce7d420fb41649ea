"""Validation of tool arguments: forms that clients are known to write by mistake are repaired, others are rejected.

The SDK's low-level server does not check arguments against a tool's schema.
"""

from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from blaxel_mcp.apis.plain_schema import plain_check
from blaxel_mcp.apis.repairs import Shape, add_repair, check_values, decode_json_string, parsed_container
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

if TYPE_CHECKING:
    from blaxel_mcp.apis.bounded_schema import BoundedSchema

WHOLE_ARGUMENTS = "arguments"
"""The name under which a client sends all arguments as one string or object, if no argument of the tool has it."""

_WRAPPERS = (WHOLE_ARGUMENTS, "input", "params")


class ArgumentValidator:
    """Validates the arguments of one tool against its schema.

    Args:
        schema: A JSON Schema (draft 2020-12) whose root is an object.
        advertised: The schema shown to clients, if it is narrower than `schema`. It decides which
            arguments are repaired: those that it types as an object or array may arrive as a JSON string.
        owner: The schema's name in error messages.

    Raises:
        ConfigurationError: the schema is not valid, or has a reference outside itself or a pattern that cannot be
            matched in linear time.

    Attributes:
        is_plain: Whether small arguments are validated in a few milliseconds. Otherwise use a thread.
    """

    def __init__(self, schema: Mapping[str, Any], *, advertised: Mapping[str, Any] | None = None, owner: str) -> None:
        self._source, self._owner = schema, owner
        self._is_valid = plain_check(schema)
        self.is_plain = self._is_valid is not None or self._schema.is_plain
        if schema.get("type") != "object":
            raise ConfigurationError(
                f"{owner} does not describe an object.",
                hint='Tools take named arguments: set "type": "object" and "properties" in the schema.',
            )
        self._shape = Shape(schema, schema)
        advertised = advertised or schema
        self._advertised: Mapping[str, Any] = advertised.get("properties", {})
        self._containers = {
            name: shape.types & {"object", "array"}
            for name, shape in Shape(advertised, advertised).properties.items()
            if "string" not in shape.types
        }
        self._omissions: dict[str, set[str | None]] = {}
        for name, argument in (*schema.get("properties", {}).items(), *self._advertised.items()):
            if name not in schema.get("required", ()):
                self._omissions.setdefault(name, set()).update(self._omissions_of(argument))

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
            if isinstance(value, str) and (containers := self._containers.get(name)):
                value = parsed_container(value, containers, name, repairs)  # noqa: PLW2901 - the same argument
            shape = self._shape.properties.get(name)
            # A string where the schema wants strings needs no repair.
            if shape and not (isinstance(value, str) and "string" in shape.types):
                value = shape.repaired(value, name, repairs)  # noqa: PLW2901 - the same argument
            values[name] = value
        if not (self._is_valid and self._is_valid(values)) and (problems := self._schema.problems(values)):
            raise InvalidArgumentsError(
                f"Invalid arguments: {'; '.join(problems)}.", hint="Fix them and call again; nothing was sent."
            )
        return values, repairs

    @cached_property
    def _schema(self) -> "BoundedSchema":
        """The schema with all keywords, which also describes what is wrong."""
        from blaxel_mcp.apis.bounded_schema import BoundedSchema  # noqa: PLC0415 - see `plain_schema`

        return BoundedSchema(self._source, self._owner)

    def _unwrapped(self, arguments: Mapping[str, Any], repairs: list[str]) -> Mapping[str, Any]:
        """Return the arguments inside a wrapper, a JSON string or an object; without one, the same arguments."""
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

    def _omissions_of(self, argument: Any) -> set[str | None]:
        """Return which of null and an empty string mean that an argument was omitted: its schema rejects them."""
        formatted = isinstance(argument, Mapping) and "format" in argument
        accepts = plain_check(argument) or partial(self._schema.accepts, argument)
        return {value for value in (None, "") if (value == "" and formatted) or not accepts(value)}
