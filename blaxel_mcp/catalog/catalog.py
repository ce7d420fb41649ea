"""The models that have a tool of their own: those of the settings and those that were discovered."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from blaxel_mcp.catalog.entry import CatalogEntry, make_entry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.catalog.tool_names import tool_name
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, ModelSettings, Settings
from blaxel_mcp.settings.types import TOOL_NAME_LIMIT

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Catalog:
    """An immutable set of entries: those of the settings in their order, then the discovered ones by name."""

    entries: tuple[CatalogEntry, ...] = ()

    def find(self, name: str) -> CatalogEntry | None:
        """The entry of a model, by the model's name or by its tool's."""
        by_model = (entry for entry in self.entries if entry.name == name)
        by_tool = (entry for entry in self.entries if entry.tool == name)
        return next(by_model, None) or next(by_tool, None)

    @property
    def names(self) -> list[str]:
        """The names of all models, listed as tools or not."""
        return [entry.name for entry in self.entries]

    def fingerprint(self, *, most: int) -> str:
        """What changes when the tools do, in what a client is shown of them or in where they lead.

        Args:
            most: How many entries have a tool of their own listed; the others are called by `run_model`.
        """
        shown = [(entry.tool, entry.title, entry.description, entry.input_schema) for entry in self.entries[:most]]
        called = [(entry.name, entry.api.name, entry.path) for entry in self.entries]
        return hashlib.sha256(json.dumps([shown, called]).encode()).hexdigest()


def build_catalog(settings: Settings, records: Iterable[ModelRecord] = ()) -> Catalog:
    """Make the catalog of the configured models and of those that the control plane listed.

    A configured entry goes before a discovered model of the same name; what it leaves open is
    taken from the record.

    Args:
        settings: The entries, which discovered models become tools, and what may be called.
        records: The models of the settings' workspace.

    Raises:
        ConfigurationError: a configured entry cannot become a tool, or two would share one name.
    """
    known = {record.name: record for record in records}
    configured = []
    for model in settings.models:
        at_home = model.workspace in (None, settings.workspace)
        record = known.pop(model.name, None) if at_home else None
        configured.append(make_entry(model, _configured_name(model, settings.tools.prefix), record))
    _check_names(configured, settings.tools.prefix)
    return Catalog((*configured, *_discovered(settings, known, {entry.tool.lower() for entry in configured})))


def _configured_name(model: ModelSettings, prefix: str) -> str:
    return f"{prefix}{model.tool}" if model.tool else tool_name(model.name, prefix=prefix)


def _discovered(settings: Settings, records: Mapping[str, ModelRecord], taken: set[str]) -> Iterator[CatalogEntry]:
    """Yield the entries of the records that the settings let become tools.

    Args:
        settings: As in `build_catalog`.
        records: Those that no entry of the settings is for, by name.
        taken: The names that tools have already, in lower case; those that are given here are added.
    """
    for name in sorted(records):
        if not _is_wanted(name, settings):
            continue
        tool = _free_name(name, settings, taken)
        if tool is None:
            logger.warning("the model %r has no tool: its names are those of others", name)
        else:
            # One model may be called what another one's name is fitted to.
            taken.add(tool.lower())
            yield make_entry(ModelSettings(name=name), tool, records[name])


def _is_wanted(name: str, settings: Settings) -> bool:
    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    try:
        check_model_name(name)
    except InvalidArgumentsError:
        return False
    discovery = settings.discovery
    return matches(discovery.include) and not matches(discovery.exclude) and matches(settings.access.models)


def _free_name(name: str, settings: Settings, taken: set[str]) -> str | None:
    """Return the model's usual tool name, or one with a hash where the settings gave that to another model."""
    spelled_out = f"{settings.workspace}/{name}"
    names = (tool_name(text, prefix=settings.tools.prefix) for text in (name, spelled_out))
    return next((tool for tool in names if tool.lower() not in taken), None)


def _check_names(entries: Iterable[CatalogEntry], prefix: str) -> None:
    """Refuse tool names that a client would refuse, or take for one another: some fold the case."""
    owners = {f"{prefix}{name}".lower(): "a built-in tool" for name in BUILTIN_TOOLS}
    for entry in entries:
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
