"""The settings of one source as a value (`Layer`), and how layers combine.

Each source becomes a layer without its unset values. `joined` puts the parts of one source together, `overlay` applies
the precedence among sources.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel

from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings

COMMAND_LINE = "command line"
"""The source label of values from the command line."""

Location = tuple[int | str, ...]
"""The path to a value, such as `("models", 0, "name")`."""

_CREDENTIALS: tuple[Location, ...] = (("api_key",), ("client_credentials",), ("api_key_command",))


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source.

    Attributes:
        values: Each value by its location, `("workspace",)` or `("limits", "timeout_seconds")`.
        sources: The label of the source of each value.
        problems: A sentence for each value that cannot be read.
        warnings: Sentences for the person who starts the server.
        unexpanded: The places of placeholders that were not expanded.
    """

    values: Mapping[Location, Any] = field(default_factory=dict, repr=False)
    sources: Mapping[Location, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unexpanded: tuple[str, ...] = ()


def layer_from(tree: Mapping[str, Any], source: str) -> Layer:
    """Return a source's nested tables as a layer, without the values that count as unset."""
    unexpanded: list[Location] = []
    values: dict[Location, Any] = {}
    for key, value in _set_items(tree, (), unexpanded).items():
        if isinstance(value, Mapping) and _is_section(key):
            values |= {(key, name): inner for name, inner in value.items()}
        else:
            values[key,] = value
    places = tuple(place(source, dotted(location)) for location in unexpanded)
    return Layer(values, dict.fromkeys(values, source), unexpanded=places)


def joined(layers: Iterable[Layer]) -> Layer:
    """Join layers into one; the last layer that sets a key wins."""
    parts = tuple(layers)
    return Layer(
        values={location: value for part in parts for location, value in part.values.items()},
        sources={location: source for part in parts for location, source in part.sources.items()},
        problems=tuple(problem for part in parts for problem in part.problems),
        warnings=tuple(warning for part in parts for warning in part.warnings),
        unexpanded=tuple(where for part in parts for where in part.unexpanded),
    )


def overlay(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Combine sources by precedence; the first layer that sets a key wins.

    The credentials are one group: a source that sets any of them hides those of all later sources. An API key left in a
    file never takes precedence over an `api_key_command` on the command line.

    Returns:
        The settings as nested tables, and the source of each key.
    """
    values: dict[Location, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        hidden = {*values, *(_CREDENTIALS if any(key in values for key in _CREDENTIALS) else ())}
        for location, value in layer.values.items():
            if location not in hidden:
                values[location] = value
                sources[dotted(location)] = layer.sources[location]
    return nested(values), sources


def nested(values: Mapping[Location, Any]) -> dict[str, Any]:
    """Return the values of a layer as nested tables."""
    tree: dict[str, Any] = {}
    for (key, *rest), value in values.items():
        if not rest:
            tree[str(key)] = value
        elif isinstance(table := tree.setdefault(str(key), {}), dict):
            table[rest[0]] = value
    return tree


def place(source: str, key: str) -> str:
    """Return the place where a key is set, such as `BL_API_KEY` or `api_key in /path/config.toml`."""
    if source == COMMAND_LINE:
        return f"{key} on the command line"
    return source if source.isidentifier() else f"{key} in {source}"


def dotted(location: Location) -> str:
    """Return a location in the notation of the documentation: `models[0].name`."""
    # A key in a file can be anything, even a secret in the wrong place.
    parts = (f"[{part}]" if isinstance(part, int) else f".{scrub(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def setting_locations() -> frozenset[Location]:
    """Return every key that a variable can set: the top-level ones and those of each section."""
    sections = (key for key in Settings.model_fields if _is_section(key))
    inner = ((section, name) for section in sections for name in known_keys((section,)))
    return frozenset([*((key,) for key in Settings.model_fields), *inner])


def known_keys(table: Location) -> list[str]:
    """Return the keys that the schema has in the table at a location; none if its content is free."""
    model: type[BaseModel] = Settings
    for part in table:
        if isinstance(part, str):
            inner = next(_models(model.model_fields[part].annotation), None)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _set_items(table: Mapping[str, Any], at: Location, unexpanded: list[Location]) -> dict[str, Any]:
    """Return a table without its unset values, and add the locations of its placeholders to `unexpanded`."""
    # A key that the schema does not have is kept: it is a mistake to report, or content for a model in which an empty
    # text means something (`defaults`, `locked`, `input_schema`).
    known = known_keys(at)
    items = ((key, _set_value(item, (*at, key), unexpanded) if key in known else item) for key, item in table.items())
    return {key: item for key, item in items if item is not None}


def _set_value(value: Any, at: Location, unexpanded: list[Location]) -> Any:
    """Return the value; None if it counts as unset.

    The elements of a list are kept: one glob less could allow more, and one word less changes a command.
    """
    if isinstance(value, str):
        if is_placeholder(value):
            unexpanded.append(at)
        return None if is_unset(value) else value
    if isinstance(value, Mapping):
        return _set_items(value, at, unexpanded)
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return [_set_items(table, (*at, index), unexpanded) for index, table in enumerate(value)]
    return value


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables in a type such as `Price | None` or `tuple[ModelSettings, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _is_section(key: str) -> bool:
    """Return whether a top-level key is a section, such as `limits`; `models` is a list and none."""
    known = Settings.model_fields.get(key)
    annotation = known.annotation if known else None
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
