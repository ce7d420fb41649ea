"""Repairs of arguments that clients and models are known to write in another form than the schema's.

Each repair is safe: the value does not fit the schema as it is, or means the same in either form.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from operator import is_not
from typing import Any

import pydantic_core

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import shorten

_MAX_SENTENCES = 10
_EXACT_BELOW = 2**53
"""Integers below this size are exact as floats."""

_MAX_WORD_CHARS = 400
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,300})(\.\d{1,300})?([eE][+-]?\d{1,3})?")
_BOOLEANS = {"true": True, "false": False}


class Shape:
    """What a JSON Schema says about types, in the form that repairs need.

    Alternatives count together, so a value is only repaired if it fits none of them.

    Args:
        schema: The schema, or a part of it.
        root: The whole schema, which local references lead into.

    Attributes:
        types: The JSON types that a value may have; empty for any.
    """

    def __init__(self, schema: Any, root: Mapping[str, Any]) -> None:
        self._root = root
        self._alternatives = list(_alternatives(schema, root, set()))
        kinds = [alternative.get("type", ()) for alternative in self._alternatives]
        types = [frozenset((kind,) if isinstance(kind, str) else kind) for kind in kinds]
        self.types: frozenset[str] = frozenset().union(*types) if all(types) else frozenset()

    @cached_property
    def properties(self) -> dict[str, "Shape"]:
        """The shapes of the members of an object, by name."""
        schemas: dict[str, list[Any]] = {}
        for alternative in self._alternatives:
            for name, schema in alternative.get("properties", {}).items():
                schemas.setdefault(name, []).append(schema)
        return {
            name: Shape({"anyOf": several} if len(several) > 1 else several[0], self._root)
            for name, several in schemas.items()
        }

    @cached_property
    def others(self) -> "Shape | None":
        """The shape of the other members of an object; None if it is not known."""
        return self._inner("additionalProperties")

    @cached_property
    def items(self) -> "Shape | None":
        """The shape of the items of an array; None if it is not known."""
        return self._inner("items")

    def _inner(self, keyword: str) -> "Shape | None":
        schemas = [alternative[keyword] for alternative in self._alternatives if alternative.get(keyword)]
        return Shape(schemas[0], self._root) if len(schemas) == 1 and isinstance(schemas[0], Mapping) else None

    def repaired(self, value: Any, place: str, repairs: list[str]) -> Any:
        """Return a value that nests at most `MAX_DEPTH` levels with its repairs, or the same object if it needs none.

        A sentence for each, with the place of the value, is added to `repairs`.
        """
        types = self.types
        if types and isinstance(value, str) and "string" not in types:
            value = self._parsed(value, place, repairs)
        elif isinstance(value, float) and "integer" in types and "number" not in types and value.is_integer():
            add_repair(repairs, place, f"was {value} and was sent as {shorten(str(int(value)))}")
            return int(value)
        if isinstance(value, dict) and "array" in types and "object" not in types:
            add_repair(repairs, place, "was an object and was sent as a list of one")
            value = [value]
        if isinstance(value, dict) and (self.properties or self.others):
            shapes = {name: self.properties.get(name, self.others) for name in value}
            members = {
                name: shape.repaired(item, f"{place}.{name}", repairs) if (shape := shapes[name]) else item
                for name, item in value.items()
            }
            return members if any(map(is_not, members.values(), value.values())) else value
        if isinstance(value, list) and (shape := self.items):
            items = [shape.repaired(item, f"{place}[{index}]", repairs) for index, item in enumerate(value)]
            return items if any(map(is_not, items, value)) else value
        return value

    def _parsed(self, text: str, place: str, repairs: list[str]) -> Any:
        """Return what a string spells, if that fits a schema without strings; otherwise the string."""
        types, word = self.types, text.strip() if len(text) <= _MAX_WORD_CHARS else ""
        if "boolean" in types and word.lower() in _BOOLEANS:
            add_repair(repairs, place, f'was "{word}" and was sent as {word.lower()}')
            return _BOOLEANS[word.lower()]
        if types & {"integer", "number"} and _NUMBER.fullmatch(word):
            number = json_text.parse(word)
            is_whole = isinstance(number, int) or (number.is_integer() and abs(number) < _EXACT_BELOW)
            if json_text.is_finite(number) and ("number" in types or is_whole):
                add_repair(repairs, place, f'was "{shorten(word)}" and was sent as a number')
                return number if "number" in types else int(number)
        # An object can be sent as a list of one.
        return parsed_container(text, types | {"object"} if "array" in types else types, place, repairs)


def parsed_container(text: str, types: Collection[str], place: str, repairs: list[str]) -> Any:
    """Return the object or array in a string of JSON, if its type is among `types`; otherwise the string."""
    value = decode_json_string(text) if "object" in types or "array" in types else None
    kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else None
    if kind not in types:
        return text
    # Until now, it was checked as one string.
    check_values(({place: value},))
    add_repair(repairs, place, f"was a JSON string and was parsed as an {kind}")
    return value


def add_repair(repairs: list[str], place: str, sentence: str) -> None:
    """Add a sentence on the repair of a place such as `messages[0].content`, up to a limit."""
    if len(repairs) < _MAX_SENTENCES:
        repairs.append(f"{shorten(place)} {sentence}")
    elif len(repairs) == _MAX_SENTENCES:
        repairs.append("more values were repaired likewise")


def check_values(values: Iterable[Any]) -> None:
    """Reject values that no request body can hold, before anything recurses into them.

    Raises:
        InvalidArgumentsError: They nest too deeply, or contain a number that JSON cannot represent.
    """
    levels = [iter(values)]
    while levels:
        for value in levels[-1]:
            if isinstance(value, dict | list):
                if len(levels) >= json_text.MAX_DEPTH:
                    raise InvalidArgumentsError(
                        f"The arguments nest more than {json_text.MAX_DEPTH} levels deep.",
                        hint="Flatten them and call again; nothing was sent.",
                    )
                levels.append(iter(value.values() if isinstance(value, dict) else value))
                break
            if isinstance(value, int | float) and not json_text.is_finite(value):
                shown = f"an integer of {value.bit_length()} bits" if isinstance(value, int) else str(value)
                raise InvalidArgumentsError(
                    f"The arguments contain {shown}, a number that JSON cannot represent.",
                    hint="Omit it or use a finite number, and call again; nothing was sent.",
                )
        else:
            levels.pop()


def decode_json_string(text: str) -> Any:
    """Return the value in a string of JSON, also if quoted twice or in a Markdown fence; None if it is not JSON.

    JSON of more values than a message from a client may have counts as none, and so does half a surrogate pair, which
    no message may have.
    """
    for _ in range(2):
        text = text.strip()
        if text.startswith("```") and text.endswith("```") and len(text) > len("``````"):
            language, _, inner = text[3:-3].partition("\n")
            text = inner if language.strip().lower() in ("", "json") else text
        data = text.encode("utf-8", "surrogatepass")
        if not json_text.has_few_values(data):
            return None
        try:
            value = pydantic_core.from_json(data, allow_inf_nan=False)
        except ValueError:
            return None
        if not isinstance(value, str):
            return value
        text = value
    return text


def _alternatives(schema: Any, root: Mapping[str, Any], seen: set[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the schema, or instead of it those that it refers to or combines, each once."""
    if schema is True:
        yield {}
    if not isinstance(schema, Mapping) or id(schema) in seen:
        return
    seen.add(id(schema))
    parts = [part for keyword in ("allOf", "anyOf", "oneOf") for part in schema.get(keyword, ())]
    reference = schema.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        part: Any = root
        for step in reference.split("/")[1:]:
            part = part.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(part, Mapping) else None
        parts.append(part)
    if not parts or schema.keys() & {"type", "properties", "items"}:
        yield schema
    for part in parts:
        yield from _alternatives(part, root, seen)
