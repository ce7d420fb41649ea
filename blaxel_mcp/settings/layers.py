"""The settings of one source as a value (`Layer`), and how layers combine.

Each source becomes a layer without its unset values. `joined` combines the parts of one source, `overlay` applies the
precedence among sources.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, SecretStr

from blaxel_mcp.core.redaction import scrub, shorten, visible
from blaxel_mcp.settings.placeholders import fault_of, is_placeholder, is_unset
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.types import ClosedSection, parts_of

COMMAND_LINE, DEMO = "command line", "--demo"
"""The source label of values from the command line."""

Location = tuple[int | str, ...]
"""The path to a value, such as `("models", 0, "name")`."""

_CREDENTIALS: tuple[Location, ...] = (("api_key",), ("client_credentials",), ("api_key_command",))
_RESTRICTING_CHOICES: tuple[Location, ...] = (("url_source",), ("prices",))
"""`"run"` keeps the key at `run_url`, and `"configured"` refuses models without a price under a cap."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source.

    Attributes:
        values: Each value by its location, `("workspace",)` or `("limits", "timeout_seconds")`.
        sources: The label of the source of each value.
        problems: A sentence for each value that cannot be read.
        warnings: Sentences for the person who starts the server.
        unexpanded: The places of placeholders that were not expanded.
        file: The absolute path of the source, if it is a TOML file.
        text: The text of that file.
    """

    values: Mapping[Location, Any] = field(default_factory=dict, repr=False)
    sources: Mapping[Location, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unexpanded: tuple[str, ...] = ()
    file: Path | None = None
    text: str = field(default="", repr=False)

    def place(self, location: Location) -> str:
        """Return the place of one of the values, or of a part of it."""
        source = next(self.sources[key] for key in (location[:2], location[:1]) if key in self.sources)
        return exact_place(source, location)


def layer_from(tree: Mapping[str, Any], source: str) -> Layer:
    """Return a source's nested tables as a layer, without the values that count as unset.

    A blank or unexpanded value of a restricting key is a problem: if it counted as unset, nothing would be restricted.
    """
    reader = _Reader(source)
    values: dict[Location, Any] = {}
    for key, value in reader.table(tree, ()).items():
        if isinstance(value, Mapping) and _is_section(key):
            values |= {(key, name): inner for name, inner in value.items()}
        else:
            values[key,] = value
    places = tuple(place(source, dotted(location)) for location in reader.unexpanded)
    return Layer(values, dict.fromkeys(values, source), tuple(reader.problems), unexpanded=places)


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
    file never takes precedence over an `api_key_command` on the command line. Return the settings as nested tables, and
    the source of each key.
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
    if source == DEMO:
        return f"{key} of {DEMO}"
    return source if source.isidentifier() else f"{key} in {source}"


def exact_place(source: str, location: Location) -> str:
    """Return the place of a value, with its key too if a variable holds a whole table or list as JSON."""
    where = place(source, dotted(location))
    in_table = where == source and not source.lower().endswith("__".join(map(str, location)))
    return f"{where} ({dotted(location)})" if in_table else where


def dotted(location: Location) -> str:
    """Return a location in the notation of the documentation: `models[0].name`."""
    # A key in a file can be anything: a secret in the wrong place, a megabyte, the escapes of a terminal.
    names = (part if isinstance(part, int) else scrub(" ".join(visible(part).split())) for part in location)
    parts = (f"[{name}]" if isinstance(name, int) else f".{shorten(name)}" for name in names)
    return "".join(parts).removeprefix(".")


def setting_locations() -> frozenset[Location]:
    """Return every key that a variable can set: the top-level ones and those of each section."""
    sections = (key for key in Settings.model_fields if _is_section(key))
    inner = ((section, name) for section in sections for name in known_keys((section,)))
    return frozenset([*((key,) for key in Settings.model_fields), *inner])


def known_keys(table: Location) -> list[str]:
    """Return the keys that the schema has in the table at a location; none if its content is free."""
    model = _model_at(table)
    return list(model.model_fields) if model else []


def fails_closed(location: Location) -> bool:
    """Return whether a blank or unexpanded value at a location is an error; otherwise it counts as unset.

    It is an error for every key of a `ClosedSection`, for lists, numbers and tables, and for choices of which another
    than the default restricts something. Credentials are the exception: without them, nothing can be called.
    """
    if location in _RESTRICTING_CHOICES:
        return True
    model = _model_at(location[:-1])
    is_credential = (location[2:] if location[0] == "workspaces" else location) in _CREDENTIALS
    if model is None or is_credential:
        return False
    parts = list(parts_of(model.model_fields[str(location[-1])].annotation))
    is_list_or_table = any(get_origin(part) in (tuple, dict) for part in parts)
    is_text = any(part in (str, SecretStr) or isinstance(part, str) for part in parts)
    return issubclass(model, ClosedSection) or is_list_or_table or not is_text


class _Reader:
    """Reads the tables of one source, and collects the placeholders and problems of a `Layer`."""

    def __init__(self, source: str) -> None:
        self.unexpanded: list[Location] = []
        self.problems: list[str] = []
        self._source = source

    def table(self, table: Mapping[str, Any], at: Location) -> dict[str, Any]:
        """Return the table at a location without its unset values."""
        # A key that the schema does not have is kept: it is a mistake to report, or content for a model in which an
        # empty text means something (`defaults`, `locked`, `input_schema`).
        if at == ("workspaces",):
            # Its keys are names. A value that is not a table is a mistake.
            return {
                key: self.table(item, (*at, key)) if isinstance(item, Mapping) else item for key, item in table.items()
            }
        known = known_keys(at)
        items = ((key, self._value(item, (*at, key)) if key in known else item) for key, item in table.items())
        return {key: item for key, item in items if item is not None or key not in known}

    def _value(self, value: Any, at: Location) -> Any:
        """Return the value; None if it counts as unset or is a problem.

        The elements of a list are kept: without one, an allowlist or a command would change its meaning.
        """
        if isinstance(value, Mapping):
            return self.table(value, at)
        if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            return [self.table(table, (*at, index)) for index, table in enumerate(value)]
        if fails_closed(at):
            return self._closed_value(value, at)
        if isinstance(value, str) and is_unset(value):
            if is_placeholder(value):
                self.unexpanded.append(at)
            return None
        return value

    def _closed_value(self, value: Any, at: Location) -> Any:
        elements = enumerate(value) if isinstance(value, list | tuple) else ()
        items = [(at, value), *(((*at, index), element) for index, element in elements)]
        faults = [(where, fault) for where, item in items if isinstance(item, str) and (fault := fault_of(item))]
        if value is None and self._source != COMMAND_LINE:
            faults.append((at, "is null; set a value, or remove it"))
        self.problems += [f"{exact_place(self._source, where)} {fault}" for where, fault in faults]
        return None if faults else value


def _model_at(table: Location) -> type[BaseModel] | None:
    """Return the schema of the table at a location; None if its content is free."""
    model: type[BaseModel] = Settings
    is_name_next = False
    for part in table:
        if is_name_next:
            is_name_next = False
        elif isinstance(part, str):
            annotation = model.model_fields[part].annotation
            types, is_name_next = parts_of(annotation), get_origin(annotation) is dict
            tables = [inner for inner in types if isinstance(inner, type) and issubclass(inner, BaseModel)]
            if not tables:
                return None
            model = tables[0]
    return None if is_name_next else model


def _is_section(key: str) -> bool:
    """Return whether a top-level key is a section, such as `limits`; `models` is a list."""
    known = Settings.model_fields.get(key)
    annotation = known.annotation if known else None
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
