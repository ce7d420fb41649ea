"""The models with a tool of their own: configured and discovered ones."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType

from blaxel_mcp.catalog.entry import CatalogEntry, make_entry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from blaxel_mcp.settings.types import TOOL_NAME_LIMIT

logger = logging.getLogger(__name__)

_HASH_LENGTH = 6
_RESERVED = frozenset(BUILTIN_TOOLS)


@dataclass(frozen=True)
class Catalog:
    """The configured entries in the settings' order, then the discovered ones of each workspace by name.

    `workspace` is the top-level workspace, which is that of every entry without its own.
    """

    entries: tuple[CatalogEntry, ...] = ()
    workspace: str | None = None

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(entry.name for entry in self.entries)

    def find(self, name: str) -> CatalogEntry | None:
        """Return a model's entry by the model's name, else its tool's name, else the model's name in another case.

        A name in another case may lead to the same model, and must not lead around the entry's locked fields and caps.
        `workspace/model` names a model whose name several workspaces have.

        Raises:
            InvalidArgumentsError: Several workspaces have a model of this name.
        """
        workspace, separator, model = name.partition("/")
        if separator:
            own = [entry for entry in self.entries if self.workspace_of(entry) == workspace]
            return _named(own, model) or _named(own, model.casefold(), str.casefold)
        same = [entry for entry in self.entries if entry.name == name]
        if len(same) > 1:
            raise InvalidArgumentsError(
                f"Several workspaces have a model {name!r}: {', '.join(map(str, map(self.workspace_of, same)))}.",
                hint=f"Name one of {', '.join(map(self.reference, same))}.",
            )
        by_tool = (entry for entry in self.entries if entry.tool == name)
        return (same[0] if same else None) or next(by_tool, None) or _named(self.entries, name.casefold(), str.casefold)

    def workspace_of(self, entry: CatalogEntry) -> str | None:
        """Return the workspace of a model."""
        return entry.settings.workspace or self.workspace

    def reference(self, entry: CatalogEntry) -> str:
        """Return the name that finds this entry and no other: the model's, or `workspace/model` if several have it."""
        return entry.name if self._counts[entry.name] == 1 else f"{self.workspace_of(entry)}/{entry.name}"

    @property
    def names(self) -> list[str]:
        """The names that find each model, including those without a listed tool."""
        return [self.reference(entry) for entry in self.entries]


class EntriesError(ConfigurationError):
    """Configured entries that cannot become tools: the index of each in `models`, and why, in one or two sentences."""

    def __init__(self, problems: Iterable[tuple[int, str]]) -> None:
        self.problems = sorted(problems)
        lines = (f"models[{index}] cannot become a tool: {problem}" for index, problem in self.problems)
        super().__init__("\n".join(lines))


def qualified_model(name: str, workspaces: Collection[str]) -> ModelSettings | None:
    """Return the settings of a model that is named as `workspace/model`; None if no such workspace is known.

    Raises InvalidArgumentsError if the model's name cannot be part of a URL.
    """
    workspace, _, model = name.partition("/")
    return ModelSettings(name=check_model_name(model), workspace=workspace) if workspace in workspaces else None


def build_catalog(
    settings: Settings,
    records: Iterable[ModelRecord] = (),
    others: Mapping[str, Iterable[ModelRecord]] = MappingProxyType({}),
) -> Catalog:
    """Build the catalog of the configured models and those that the control plane listed.

    A configured entry overrides the discovered model with the same name. Keys that it omits come from that model's
    record.

    Args:
        settings: The configured entries, and which discovered models become tools.
        records: The models of the first of the listed workspaces.
        others: The models of the further ones, by workspace. Their tools' names contain the workspace, so that they do
            not depend on which of the workspaces could be listed.

    Raises:
        EntriesError: Configured entries cannot become tools, or two would have the same tool name.
    """
    prefix = settings.tools.prefix
    first = next(iter(settings.listed_workspaces), settings.workspace)
    by_workspace = {
        workspace: {record.name: record for record in listed}
        for workspace, listed in ((first, records), *others.items())
    }
    configured: dict[int, CatalogEntry] = {}
    problems: list[tuple[int, str]] = []
    for index, model in enumerate(settings.models):
        record = by_workspace.get(model.workspace or settings.workspace, {}).pop(model.name, None)
        tool = f"{prefix}{model.tool}" if model.tool else tool_name(model.name, prefix=prefix)
        try:
            configured[index] = make_entry(model, tool, record)
        except ConfigurationError as error:
            problems.append((index, str(error)))
    problems += _tool_name_problems(configured, prefix)
    if problems:
        raise EntriesError(problems)
    taken = {entry.tool.lower() for entry in configured.values()}
    discovered = [
        entry
        for workspace, by_name in by_workspace.items()
        for entry in _discovered_entries(settings, workspace, by_name, taken, is_first=workspace == first)
    ]
    return Catalog((*configured.values(), *discovered), settings.workspace)


def _discovered_entries(
    settings: Settings, workspace: str | None, records: Mapping[str, ModelRecord], taken: set[str], *, is_first: bool
) -> Iterator[CatalogEntry]:
    """Yield the entries of a workspace's records, by name, that the settings make tools.

    New tool names are added to those in use, `taken`, in lower case; those of the first workspace omit its name.
    """
    own_workspace = None if workspace == settings.workspace else workspace
    for name in sorted(records):
        if not _is_included(name, workspace, settings):
            continue
        # The second name has a hash: it is for a model whose usual tool name belongs to another model.
        texts = (name if is_first else f"{name}_{workspace}", f"{workspace}/{name}")
        candidates = (tool_name(text, prefix=settings.tools.prefix) for text in texts)
        tool = next((candidate for candidate in candidates if candidate.lower() not in taken), None)
        if tool is None:
            logger.warning("the model %r has no tool: its possible tool names belong to other models", name)
        else:
            taken.add(tool.lower())
            yield make_entry(ModelSettings(name=name, workspace=own_workspace), tool, records[name])


def _named(entries: Iterable[CatalogEntry], name: str, fold: Callable[[str], str] = str) -> CatalogEntry | None:
    return next((entry for entry in entries if fold(entry.name) == name), None)


def _is_included(name: str, workspace: str | None, settings: Settings) -> bool:
    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(text, pattern) for pattern in patterns for text in (name, f"{workspace}/{name}"))

    try:
        check_model_name(name)
    except InvalidArgumentsError:
        return False
    discovery = settings.discovery
    return (
        matches(discovery.include)
        and not matches(discovery.exclude)
        and any(fnmatchcase(name, pattern) for pattern in settings.access.models)
    )


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


def tool_name(model: str, *, prefix: str = "") -> str:
    """Return a model's name fitted to `[a-z0-9_-]` and 40 characters, prefix included.

    The name depends only on the model's name, so it is the same on every start, with any other models. A name that had
    to change ends in a hash of the original, so two models never share one.
    """
    fitted = re.sub(r"[^a-z0-9_-]+", "-", model.lower()).strip("-") or "model"
    room = TOOL_NAME_LIMIT - len(prefix)
    if fitted == model and len(fitted) <= room and fitted.replace("-", "_") not in _RESERVED:
        return prefix + fitted
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{prefix}{fitted[: room - _HASH_LENGTH - 1].rstrip('-')}-{digest}"
