"""One source of settings as a value: freed of what counts as absent, checked, laid over the next."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.placeholders import is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings

COMMAND_LINE = "command line"
"""The source label of what was given on it."""

Location = tuple[int | str, ...]
"""Where a value stands: `("models", 0, "name")`."""

_CREDENTIALS: tuple[Location, ...] = (("api_key",), ("client_credentials",), ("api_key_command",))

_TYPE_NAMES = {
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "tuple_type": 'should be a list, such as ["first", "second"]',
}


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source gives.

    Attributes:
        values: Each value under its location, `("workspace",)` or `("limits", "timeout_seconds")`.
        sources: The label of the source that each of them came from.
        problems: What made a value unreadable.
        warnings: What the person who starts the server should know.
        unexpanded: The places that hold a placeholder.
    """

    values: Mapping[Location, Any] = field(default_factory=dict, repr=False)
    sources: Mapping[Location, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unexpanded: tuple[str, ...] = ()


def layer_from(tree: Mapping[str, Any], source: str) -> Layer:
    """Make a layer of a source's nested tables, without the values that count as absent."""
    unexpanded: list[Location] = []
    values = _flatten(_present_items(tree, (), unexpanded))
    places = tuple(place(source, dotted(location)) for location in unexpanded)
    return Layer(values, dict.fromkeys(values, source), unexpanded=places)


def joined(layers: Iterable[Layer]) -> Layer:
    """Make one layer of several; the last that gives a key has it."""
    parts = tuple(layers)
    return Layer(
        values={location: value for part in parts for location, value in part.values.items()},
        sources={location: source for part in parts for location, source in part.sources.items()},
        problems=tuple(problem for part in parts for problem in part.problems),
        warnings=tuple(warning for part in parts for warning in part.warnings),
        unexpanded=tuple(where for part in parts for where in part.unexpanded),
    )


def place(source: str, key: str) -> str:
    """Name the place where a key was set: a variable, or the key and what it stands in."""
    if source == COMMAND_LINE:
        return f"{key} on the command line"
    return source if source.isidentifier() else f"{key} in {source}"


def dotted(location: Location) -> str:
    """Write a location as people do: `models[0].name`."""
    # A key of the file's own may be anything, a secret in the wrong place too.
    parts = (f"[{part}]" if isinstance(part, int) else f".{scrub(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def setting_locations() -> frozenset[Location]:
    """Give every key that a variable can set: the top-level ones and those of each section."""
    sections = (key for key in Settings.model_fields if _is_section(key))
    inner = ((section, name) for section in sections for name in _keys((section,)))
    return frozenset([*((key,) for key in Settings.model_fields), *inner])


def overlay(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Lay sources over each other; the first that gives a key has it.

    The credentials are one group: a source that gives any of them hides those of all later
    sources, so that an API key left in a file never goes before a command line's key command.

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
    return _nest(values), sources


def problems_in(layer: Layer) -> list[str]:
    """Say what is wrong with a source, a sentence for each problem; no sentence quotes a value."""
    tree = _nest(layer.values)
    # Seen to here, since BaseSettings takes a few names for arguments of its own (`_env_file`).
    unknown = [key for key in tree if key not in Settings.model_fields]
    problems = [*layer.problems, *(_problem(layer, (key,), _unknown_key((key,))) for key in unknown)]
    try:
        Settings.model_validate({key: value for key, value in tree.items() if key not in unknown})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems += [_problem(layer, detail["loc"], _expectation(detail)) for detail in details]
    return problems


def _flatten(tree: Mapping[str, Any]) -> dict[Location, Any]:
    flat: dict[Location, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and _is_section(key):
            flat |= {(key, name): inner for name, inner in value.items()}
        else:
            flat[key,] = value
    return flat


def _present_items(table: Mapping[str, Any], at: Location, unexpanded: list[Location]) -> dict[str, Any]:
    # What has no key in the schema stays as it is: it is a mistake to be told, or content for a model,
    # where an empty text means something (`defaults`, `locked`, `input_schema`).
    known = _keys(at)
    items = ((key, _present(item, (*at, key), unexpanded) if key in known else item) for key, item in table.items())
    return {key: item for key, item in items if item is not None}


def _present(value: Any, at: Location, unexpanded: list[Location]) -> Any:
    """Give the value, or None where it counts as absent.

    The elements of a list stay: a glob less could allow more, and a word less changes a command.
    """
    if isinstance(value, str):
        if is_placeholder(value):
            unexpanded.append(at)
        return None if is_unset(value) else value
    if isinstance(value, Mapping):
        return _present_items(value, at, unexpanded)
    if _is_list_of_tables(value):
        return [_present_items(table, (*at, index), unexpanded) for index, table in enumerate(value)]
    return value


def _is_list_of_tables(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _nest(flat: Mapping[Location, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (key, *rest), value in flat.items():
        if not rest:
            tree[str(key)] = value
        elif isinstance(table := tree.setdefault(str(key), {}), dict):
            table[rest[0]] = value
    return tree


def _problem(layer: Layer, location: Location, what: str) -> str:
    own = next(part for part in (location[:2], location[:1]) if part in layer.sources)
    source = layer.sources[own]
    where = place(source, dotted(location))
    # A variable bears its key's name, unless it holds a whole table in JSON: then the place inside is told.
    whole = where == source and not source.lower().endswith("__".join(map(str, location)))
    return f"{where} ({dotted(location)}) {what}" if whole else f"{where} {what}"


def _expectation(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if detail["type"] == "missing":
        return "is required"
    if detail["loc"] == ("models",):
        return "should be a list of tables, each under [[models]]"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    # pydantic's own sentence, without its subject and without what it could not do.
    return _TYPE_NAMES.get(detail["type"]) or re.sub(r"^(Input|String|Tuple) |, unable to .*", "", detail["msg"])


def _unknown_key(location: Location) -> str:
    known = _keys(location[:-1])
    meant = closest(str(location[-1]), known)
    advice = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
    return f"is not a setting; {advice}"


def _keys(table: Location) -> list[str]:
    """List the keys that the schema has in the table at a location; none where the content is free."""
    model: type[BaseModel] = Settings
    for part in table:
        if isinstance(part, str):
            inner = next(_models(model.model_fields[part].annotation), None)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find the tables in a type such as `Price | None` or `tuple[ModelSettings, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _is_section(key: str) -> bool:
    known = Settings.model_fields.get(key)
    annotation = known.annotation if known else None
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
