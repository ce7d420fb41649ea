"""The models that have a tool of their own: configured and discovered ones."""

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
    """An immutable set of entries: the configured ones in the settings' order, then the discovered ones by name."""

    entries: tuple[CatalogEntry, ...] = ()

    def find(self, name: str) -> CatalogEntry | None:
        """Return a model's entry by the model's name, else its tool's name, else the model's name in another case.

        A name in another case may lead to the same model, and must not lead around the entry's locked fields and caps.
        """
        by_model = (entry for entry in self.entries if entry.name == name)
        by_tool = (entry for entry in self.entries if entry.tool == name)
        by_case = (entry for entry in self.entries if entry.name.casefold() == name.casefold())
        return next(by_model, None) or next(by_tool, None) or next(by_case, None)

    @property
    def names(self) -> list[str]:
        """The names of all models, including those without a listed tool."""
        return [entry.name for entry in self.entries]

    def fingerprint(self, *, max_tools: int) -> str:
        """Return a hash that changes with what clients are shown of the tools, or with what the tools call.

        Args:
            max_tools: How many entries have a listed tool; `run_model` calls the others.
        """
        listed = self.entries[:max_tools]
        shown = [(entry.tool, entry.title, entry.description, entry.schema.listed) for entry in listed]
        called = [(entry.name, entry.api.name, entry.path) for entry in self.entries]
        return hashlib.sha256(json.dumps([shown, called]).encode()).hexdigest()


class EntriesError(ConfigurationError):
    """Configured entries that cannot become tools.

    Attributes:
        problems: The index of each in `models`, and why, in one or two sentences.
    """

    def __init__(self, problems: Iterable[tuple[int, str]]) -> None:
        self.problems = sorted(problems)
        lines = (f"models[{index}] cannot become a tool: {problem}" for index, problem in self.problems)
        super().__init__("\n".join(lines))


def build_catalog(settings: Settings, records: Iterable[ModelRecord] = ()) -> Catalog:
    """Build the catalog of the configured models and those that the control plane listed.

    A configured entry overrides the discovered model with the same name. Keys that it leaves out
    come from that model's record.

    Args:
        settings: The configured entries, and which discovered models become tools.
        records: The models of the settings' workspace.

    Raises:
        EntriesError: Configured entries cannot become tools, or two would have the same tool name.
    """
    prefix = settings.tools.prefix
    by_name = {record.name: record for record in records}
    configured: dict[int, CatalogEntry] = {}
    problems: list[tuple[int, str]] = []
    for index, model in enumerate(settings.models):
        is_of_this_workspace = model.workspace in (None, settings.workspace)
        record = by_name.pop(model.name, None) if is_of_this_workspace else None
        tool = f"{prefix}{model.tool}" if model.tool else tool_name(model.name, prefix=prefix)
        try:
            configured[index] = make_entry(model, tool, record)
        except ConfigurationError as error:
            problems.append((index, str(error)))
    problems += _tool_name_problems(configured, prefix)
    if problems:
        raise EntriesError(problems)
    taken = {entry.tool.lower() for entry in configured.values()}
    return Catalog((*configured.values(), *_discovered_entries(settings, by_name, taken)))


def _discovered_entries(
    settings: Settings, records: Mapping[str, ModelRecord], taken: set[str]
) -> Iterator[CatalogEntry]:
    """Yield the entries of the records that the settings make tools.

    Args:
        settings: As in `build_catalog`.
        records: The models without a configured entry, by name.
        taken: The tool names in use, in lower case; new ones are added.
    """
    for name in sorted(records):
        if not _is_included(name, settings):
            continue
        # The second name has a hash: it is for a model whose usual tool name belongs to another model.
        candidates = (tool_name(text, prefix=settings.tools.prefix) for text in (name, f"{settings.workspace}/{name}"))
        tool = next((candidate for candidate in candidates if candidate.lower() not in taken), None)
        if tool is None:
            logger.warning("the model %r has no tool: its possible tool names belong to other models", name)
        else:
            taken.add(tool.lower())
            yield make_entry(ModelSettings(name=name), tool, records[name])


def _is_included(name: str, settings: Settings) -> bool:
    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    try:
        check_model_name(name)
    except InvalidArgumentsError:
        return False
    discovery = settings.discovery
    return matches(discovery.include) and not matches(discovery.exclude) and matches(settings.access.models)


def _tool_name_problems(entries: Mapping[int, CatalogEntry], prefix: str) -> Iterator[tuple[int, str]]:
    """Yield the entries whose tool names clients reject, or that differ in case only: some clients ignore case."""
    owners = {f"{prefix}{name}".lower(): "a built-in tool" for name in BUILTIN_TOOLS}
    for index, entry in entries.items():
        if len(entry.tool) > TOOL_NAME_LIMIT:
            problem = f"The tool name {entry.tool!r} is longer than {TOOL_NAME_LIMIT} characters with its prefix."
            yield index, f"{problem} Shorten the model's `tool` or `tools.prefix`."
        owner = f"the model {entry.name!r}"
        other = owners.setdefault(entry.tool.lower(), owner)
        if other is not owner:
            problem = f"{owner[0].upper()}{owner[1:]} and {other} would share the tool name {entry.tool.lower()!r}."
            yield index, f"{problem} Give the model another tool name with its `tool` key."
