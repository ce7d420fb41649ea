"""Each model: what the workspace says of it for free, and what it answers where that may cost something."""

import time

import anyio

from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.client.endpoints import resolve_base
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.setup.doctor.context import Case
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, failed_by, ok, skipped, warning
from blaxel_mcp.tools.model_guide import example_arguments

CALL_SECONDS = 60.0
CALLS_SECONDS = 600.0

_AT_ONCE = 4
_LOST = frozenset({"FAILED", "DEACTIVATED", "DEACTIVATING", "DELETING", "TERMINATED", "ARCHIVED"})
"""States that no waiting ends (Blaxel's SDKs, Status)."""


async def models(case: Case) -> list[Finding]:
    """Say of the models together how many there are, and of each one whether it can be called and how."""
    names = await _listed_names(case)
    await case.app.discovery.refresh()
    if case.app.discovery.problem:
        told = failed(
            case.app.discovery.problem, "Run `blaxel-mcp doctor` again; the log has more with --log-level info."
        )
        return [Finding("models", "Models", told)]
    entries = case.app.discovery.catalog.entries
    results: dict[str, Result] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    async with anyio.create_task_group() as group:
        for entry in entries:
            group.start_soon(_judge, case, entry, names, limiter, results)
    case.chart.callable += [entry for entry in entries if results[entry.tool].outcome != "failed"]
    each = [Finding(f"model:{entry.name}", f"Model {entry.name}", results[entry.tool]) for entry in entries]
    return [Finding("models", "Models", _together(case, entries, names)), *each]


async def _listed_names(case: Case) -> list[str]:
    """The names of all models of the workspace; none where the control plane may not be asked."""
    if not case.app.control_plane.enabled:
        return []
    return [record.name for record in await case.app.control_plane.list_models(case.workspace)]


def _together(case: Case, entries: tuple[CatalogEntry, ...], names: list[str]) -> Result:
    settings = case.config.settings
    if not entries:
        return warning(
            "no model has a tool of its own",
            "Add [[models]] entries to the settings file; `blaxel-mcp init` writes one for each model that there is."
            if names or not case.app.control_plane.enabled
            else f"Make a model API in workspace {case.workspace}, in Blaxel's console.",
        )
    shown = min(len(entries), settings.tools.max_tools)
    counts = f"{len(settings.models)} configured, {len(entries) - len(settings.models)} discovered"
    rest = "" if shown == len(entries) else f"; the other {len(entries) - shown} are called by run_model"
    return ok(f"{counts}, {shown} with a tool of their own{rest}")


async def _judge(
    case: Case, entry: CatalogEntry, names: list[str], limiter: anyio.CapacityLimiter, results: dict[str, Result]
) -> None:
    async with limiter:
        lookup = await case.app.listing.look_up(entry)
    results[entry.tool] = judge_model(case, entry, lookup, names)


def judge_model(case: Case, entry: CatalogEntry, lookup: Lookup, names: list[str]) -> Result:
    """Say whether a model can be called, by its settings and its record.

    Args:
        case: The settings.
        entry: The model.
        lookup: What the control plane says of it.
        names: The models of the settings' workspace.
    """
    settings, record = case.config.settings, lookup.record
    try:
        check_access(settings.access, entry.name, entry.path)
        endpoint = resolve_base(
            settings,
            workspace=entry.settings.workspace or case.workspace,
            model=entry.name,
            forced_url=entry.settings.url,
            generation=record.generation if record else None,
            own_url=record.url if record else None,
        )
    except BlaxelError as error:
        return failed_by(error, f"The entry is {_place(case, entry)}.")
    if record is None and lookup.problem:
        return _unknown(case, entry, lookup.problem, names)
    if record is not None and (trouble := _trouble(case, entry, record)):
        return trouble
    if record and record.url:
        case.app.client.auth.trust(record.url)
    found = f"{_tool(entry)}{f', {record.status}' if record and record.status else ''}, at {endpoint.base}"
    if not case.app.client.auth.is_trusted(endpoint.base):
        return warning(
            f"{found}; that is neither run_url nor the model's own URL, so no credentials are sent there.",
            f"Take `url` out of {_place(case, entry)}, unless that server asks for no credentials.",
        )
    return ok(found)


def _tool(entry: CatalogEntry) -> str:
    where = {None: "a path that holds the provider's id of it", "": "its base endpoint"}.get(entry.path, entry.path)
    return f"tool {entry.tool}, {entry.api.name} at {where}"


def _unknown(case: Case, entry: CatalogEntry, problem: str, names: list[str]) -> Result:
    at_home = entry.settings.workspace in (None, case.config.settings.workspace)
    meant = closest(entry.name, names) if at_home else None
    guess = f"Did you mean {meant!r}? " if meant else ""
    workspace = entry.settings.workspace or case.workspace
    return failed(
        f"Workspace {workspace} has no record of it: {problem}.",
        f"{guess}Mend `name` in {_place(case, entry)}, or take the entry out.",
    )


def _trouble(case: Case, entry: CatalogEntry, record: ModelRecord) -> Result | None:
    """Say what the record has against a call; it fails where the settings name the model: a workspace may hold more."""
    tell = failed if _is_configured(case, entry) else warning
    leave_out = f"leave it out: {_leave_out(case, entry)}."
    if not record.enabled:
        return tell("It is disabled in Blaxel.", f"Enable it in Blaxel's console, or {leave_out}")
    if record.status in _LOST:
        return tell(f"Its status is {record.status}.", f"Deploy it again in Blaxel's console, or {leave_out}")
    if record.status not in (None, DEPLOYED):
        return warning(
            f"Its status is {record.status}; it answers once that is {DEPLOYED}.",
            "Wait for it, and look at it in Blaxel's console where that takes long.",
        )
    return None


def _is_configured(case: Case, entry: CatalogEntry) -> bool:
    return entry.settings in case.config.settings.models


def _leave_out(case: Case, entry: CatalogEntry) -> str:
    if _is_configured(case, entry):
        return f"take {_place(case, entry)} out"
    return f'discovery.exclude = ["{entry.name}"]'


def _place(case: Case, entry: CatalogEntry) -> str:
    if not _is_configured(case, entry):
        return "made of the workspace's own list"
    index = case.config.settings.models.index(entry.settings)
    return f"models[{index}] of {case.config.sources.get('models', 'the settings')}"


async def calls(case: Case) -> list[Finding]:
    """Send each model that can be called one small request, which costs what such a request costs."""
    results: dict[str, Result] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    async with anyio.create_task_group() as group:
        for entry in case.chart.callable:
            group.start_soon(_call, case, entry, limiter, results)
    return [
        Finding(f"call:{entry.name}", f"Call of {entry.name}", results[entry.tool]) for entry in case.chart.callable
    ]


async def _call(case: Case, entry: CatalogEntry, limiter: anyio.CapacityLimiter, results: dict[str, Result]) -> None:
    context = CallContext()
    async with limiter:
        try:
            results[entry.tool] = await _answered(case, entry, context)
        except BlaxelError as error:
            results[entry.tool] = failed_by(error)


async def _answered(case: Case, entry: CatalogEntry, context: CallContext) -> Result:
    if entry.api.file_arguments and entry.api.multipart:
        return skipped("its API needs a file, and there is none to send")
    arguments, _ = entry.reader.validate(example_arguments(entry))
    await case.app.inference.run(Invocation.of_entry(entry, arguments, timeout_seconds=CALL_SECONDS), context)
    return ok(_taken(context))


def _taken(context: CallContext) -> str:
    told = [f"answered in {time.perf_counter() - context.started:.1f} s"]
    if context.usage and context.usage.total_tokens is not None:
        told.append(f"{context.usage.total_tokens} tokens")
    if context.cost_usd is not None:
        told.append(f"{context.cost_usd:.6f} USD")
    return ", ".join(told)
