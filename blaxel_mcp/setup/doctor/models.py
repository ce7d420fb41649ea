"""Each model: what the workspace says of it for free, and what it answers where that may cost something."""

import time
from functools import partial

from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.client.endpoints import Endpoint, resolve_base
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, failed_by, ok, skipped, warning
from blaxel_mcp.setup.doctor.runner import run_each
from blaxel_mcp.tools.model_guide import example_arguments

CALL_SECONDS = 60.0
CALLS_SECONDS = 600.0

_AT_ONCE = 4
_LOST = frozenset({"FAILED", "DEACTIVATED", "DEACTIVATING", "DELETING", "TERMINATED", "ARCHIVED"})
"""States that no waiting ends (Blaxel's SDKs, Status)."""


async def models(context: CheckContext) -> list[Finding]:
    """Say of the models together how many there are, and of each one whether it can be called and how."""
    names: list[str] = []
    if context.runtime.control_plane.enabled:
        names = [record.name for record in await context.runtime.control_plane.list_models(context.workspace)]
    await context.runtime.discovery.refresh()
    if context.runtime.discovery.problem:
        told = failed(
            context.runtime.discovery.problem, "Run `blaxel-mcp doctor` again; the log has more with --log-level info."
        )
        return [Finding("models", "Models", told)]
    entries = context.runtime.discovery.catalog.entries
    lookups = await run_each(context.runtime.listing.look_up, entries, at_once=_AT_ONCE)
    findings = [Finding("models", "Models", _together(context, entries, names))]
    for entry, lookup in zip(entries, lookups, strict=True):
        result = judge_model(context, entry, lookup, names)
        findings.append(Finding(f"model:{entry.name}", f"Model {entry.name}", result))
        if result.outcome != "failed":
            context.shared.callable.append(entry)
    return findings


def _together(context: CheckContext, entries: tuple[CatalogEntry, ...], names: list[str]) -> Result:
    settings = context.config.settings
    if not entries:
        return warning(
            "no model has a tool of its own",
            "Add [[models]] entries to the settings file; `blaxel-mcp init` writes one for each model that there is."
            if names or not context.runtime.control_plane.enabled
            else f"Make a model API in workspace {context.workspace}, in Blaxel's console.",
        )
    shown = min(len(entries), settings.tools.max_tools)
    counts = f"{len(settings.models)} configured, {len(entries) - len(settings.models)} discovered"
    rest = "" if shown == len(entries) else f"; the other {len(entries) - shown} are called by run_model"
    return ok(f"{counts}, {shown} with a tool of their own{rest}")


def judge_model(context: CheckContext, entry: CatalogEntry, lookup: Lookup, names: list[str]) -> Result:
    """Say whether a model can be called, by its settings and its record.

    Args:
        context: The settings.
        entry: The model.
        lookup: What the control plane says of it.
        names: The models of the settings' workspace.
    """
    record = lookup.record
    try:
        check_access(context.config.settings.access, entry.name, entry.path)
        endpoint = _endpoint(context, entry, record)
    except BlaxelError as error:
        return failed_by(error, f"The entry is {_place(context, entry)}.")
    if record is None and lookup.problem:
        return _unknown(context, entry, lookup.problem, names)
    if record is not None and (trouble := _trouble(context, entry, record)):
        return trouble
    if record and record.url:
        context.runtime.client.auth.trust(record.url)
    where = {None: "a path that holds the provider's id of it", "": "its base endpoint"}.get(entry.path, entry.path)
    status = f", {record.status}" if record and record.status else ""
    found = f"tool {entry.tool}, {entry.api.name} at {where}{status}, at {endpoint.base}"
    if not context.runtime.client.auth.is_trusted(endpoint.base):
        return warning(
            f"{found}; that is neither run_url nor the model's own URL, so no credentials are sent there.",
            f"Take `url` out of {_place(context, entry)}, unless that server asks for no credentials.",
        )
    return ok(found)


def _endpoint(context: CheckContext, entry: CatalogEntry, record: ModelRecord | None) -> Endpoint:
    """The URL that a call of the model is sent to."""
    return resolve_base(
        context.config.settings,
        workspace=entry.settings.workspace or context.workspace,
        model=entry.name,
        forced_url=entry.settings.url,
        generation=record.generation if record else None,
        own_url=record.url if record else None,
    )


def _unknown(context: CheckContext, entry: CatalogEntry, problem: str, names: list[str]) -> Result:
    at_home = entry.settings.workspace in (None, context.config.settings.workspace)
    meant = closest(entry.name, names) if at_home else None
    guess = f"Did you mean {meant!r}? " if meant else ""
    workspace = entry.settings.workspace or context.workspace
    return failed(
        f"Workspace {workspace} has no record of it: {problem}.",
        f"{guess}Mend `name` in {_place(context, entry)}, or take the entry out.",
    )


def _trouble(context: CheckContext, entry: CatalogEntry, record: ModelRecord) -> Result | None:
    """Say what the record has against a call; it fails where the settings name the model: a workspace may hold more."""
    tell = failed if _is_configured(context, entry) else warning
    leave_out = f'leave it out: discovery.exclude = ["{entry.name}"].'
    if _is_configured(context, entry):
        leave_out = f"leave it out: take {_place(context, entry)} out."
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


def _is_configured(context: CheckContext, entry: CatalogEntry) -> bool:
    return entry.settings in context.config.settings.models


def _place(context: CheckContext, entry: CatalogEntry) -> str:
    if not _is_configured(context, entry):
        return "made of the workspace's own list"
    index = context.config.settings.models.index(entry.settings)
    return f"models[{index}] of {context.config.sources.get('models', 'the settings')}"


async def calls(context: CheckContext) -> list[Finding]:
    """Send each model that can be called one small request, which costs what such a request costs."""
    entries = context.shared.callable
    results = await run_each(partial(_call, context), entries, at_once=_AT_ONCE)
    return [
        Finding(f"call:{entry.name}", f"Call of {entry.name}", result)
        for entry, result in zip(entries, results, strict=True)
    ]


async def _call(context: CheckContext, entry: CatalogEntry) -> Result:
    if entry.api.file_arguments and entry.api.multipart:
        return skipped("its API needs a file, and there is none to send")
    call = CallContext()
    try:
        arguments, _ = entry.reader.read(example_arguments(entry))
        invocation = Invocation.of_entry(entry, arguments, timeout_seconds=CALL_SECONDS)
        await context.runtime.inference.run(invocation, call)
    except BlaxelError as error:
        return failed_by(describe(error, call))
    facts = [f"answered in {time.perf_counter() - call.started:.1f} s"]
    if call.usage and call.usage.total_tokens is not None:
        facts.append(f"{call.usage.total_tokens} tokens")
    if call.cost_usd is not None:
        facts.append(f"{call.cost_usd:.6f} USD")
    return ok(", ".join(facts))
