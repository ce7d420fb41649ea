"""The models that have a tool of their own, and what each tool looks like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blaxel_mcp.apis import APIS, RAW, ModelAPI, api_at, api_named
from blaxel_mcp.apis.base import JSONObject
from blaxel_mcp.arguments import ArgumentReader
from blaxel_mcp.endpoints import check_model_name, split_path
from blaxel_mcp.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.settings import BUILTIN_TOOLS, TOOL_NAME_LIMIT, ModelSettings, Settings
from blaxel_mcp.spelling import nearest
from blaxel_mcp.tool_names import tool_name


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model with a tool of its own.

    Attributes:
        tool: The tool's name.
        settings: The model's `[[models]]` entry.
        api: Which API its endpoint speaks.
        path: The sub-endpoint that its tool calls, empty for the base endpoint.
        input_schema: What the client is shown.
        reader: Reads the tool's arguments.
    """

    tool: str
    settings: ModelSettings
    api: ModelAPI
    path: str
    input_schema: JSONObject
    reader: ArgumentReader = field(repr=False)

    @property
    def name(self) -> str:
        """The model API's name in its workspace."""
        return self.settings.name

    @property
    def names_a_path(self) -> bool:
        """Whether the settings say where the model is called, be it by `path` or by `api`."""
        return self.settings.path is not None or self.settings.api is not None

    @property
    def title(self) -> str:
        """What a client shows a person."""
        return self.settings.title or self.name

    @property
    def description(self) -> str:
        """What an agent chooses by: the essentials first, since clients cut long descriptions."""
        return self.settings.description or f"Blaxel model {self.name}. {self.api.summary}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """An immutable set of entries, in the order of the settings."""

    entries: tuple[CatalogEntry, ...] = ()

    def find(self, name: str) -> CatalogEntry | None:
        """The entry of a model, by the model's name or by its tool's."""
        by_model = (entry for entry in self.entries if entry.name == name)
        by_tool = (entry for entry in self.entries if entry.tool == name)
        return next(by_model, None) or next(by_tool, None)

    def nearest(self, name: str) -> str | None:
        """The model that a misspelled name was most likely meant to be."""
        return nearest(name, [entry.name for entry in self.entries])


def build_catalog(settings: Settings) -> Catalog:
    """Make the catalog of the configured models.

    Raises:
        ConfigurationError: an entry cannot become a tool, or two would share one name.
    """
    catalog = Catalog(tuple(_entry(model, settings.tools.prefix) for model in settings.models))
    _check_names(catalog, settings.tools.prefix)
    return catalog


def _check_names(catalog: Catalog, prefix: str) -> None:
    """Refuse tool names that a client would refuse, or take for one another: some fold the case."""
    owners = {f"{prefix}{name}".lower(): "a built-in tool" for name in BUILTIN_TOOLS}
    for entry in catalog.entries:
        owner = f"the model {entry.name!r}"
        if len(entry.tool) > TOOL_NAME_LIMIT:
            raise ConfigurationError(
                f"The tool name {entry.tool!r} of {owner} is longer than {TOOL_NAME_LIMIT} characters with its prefix.",
                hint="Shorten its `tool` or `tools.prefix`.",
            )
        other = owners.setdefault(entry.tool.lower(), owner)
        if other is not owner:
            raise ConfigurationError(
                f"{owner[0].upper()}{owner[1:]} and {other} would share the tool name {entry.tool.lower()!r}.",
                hint="Give the model another name with `tool`.",
            )


def _entry(model: ModelSettings, prefix: str) -> CatalogEntry:
    api = _api(model)
    own = model.input_schema
    advertised = api.input_schema() if own is None else dict(own)
    advertised.setdefault("properties", {})
    accepted = api.accepted_schema() if own is None else own
    owner = f"The input_schema of the model {model.name!r}"
    reader = ArgumentReader(_settled(accepted, model), advertised=advertised, owner=owner)
    try:
        path, query = split_path(api.path if model.path is None else model.path)
        check_model_name(model.name)
    except BlaxelError as error:
        raise ConfigurationError(
            f"In the entry of the model {model.name!r}: {error.message}", hint=error.hint
        ) from None
    return CatalogEntry(
        tool=f"{prefix}{model.tool}" if model.tool else tool_name(model.name, prefix=prefix),
        settings=model,
        api=api,
        path=f"{path}?{query}" if query else path,
        input_schema=_settled(advertised, model),
        reader=reader,
    )


def _api(model: ModelSettings) -> ModelAPI:
    if model.api is None:
        return (model.path and api_at(model.path)) or RAW
    api = api_named(model.api)
    if api is None:
        known = [candidate.name for candidate in APIS]
        guess = nearest(model.api, known)
        raise ConfigurationError(
            f"The model {model.name!r} has api = {model.api!r}, which is not one of {', '.join(known)}.",
            hint=f"Did you mean {guess!r}?" if guess else "Use `raw` with a `path` for any other API.",
        )
    return api


def _settled(schema: Mapping[str, Any], model: ModelSettings) -> JSONObject:
    """The schema less what the settings already decide: locked fields go, defaults are not required."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in model.locked}
    settled = {**schema, "properties": properties}
    decided = model.locked.keys() | model.defaults.keys()
    required = [name for name in schema.get("required", ()) if name not in decided]
    settled.pop("required", None)
    return {**settled, "required": required} if required else settled
