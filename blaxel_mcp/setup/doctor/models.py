"""Checks of each model: its record, which is free, and with `--call` a request, which is billed."""

import time

from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import DEPLOYED
from blaxel_mcp.client.endpoints import resolve_base
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.access import check_access
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.setup.doctor.checks import (
    CheckContext,
    Finding,
    Result,
    count,
    failed,
    failed_by,
    ok,
    run_each,
    skipped,
    warning,
)
from blaxel_mcp.tools.model_guide import example_arguments

CALL_SECONDS = 60.0

_AT_ONCE = 4
_LOST = frozenset({"FAILED", "DEACTIVATED", "DEACTIVATING", "DELETING", "TERMINATED", "ARCHIVED"})
"""Statuses that do not change by waiting (Blaxel's SDKs, Status)."""


async def models(context: CheckContext) -> list[Finding]:
    """Report how many models there are, and for each whether and how it can be called."""
    names: list[str] = []
    if context.runtime.control_plane.enabled:
        names = [record.name for record in await context.runtime.control_plane.list_models(context.workspace)]
    await context.runtime.discovery.refresh()
    if context.runtime.discovery.problem:
        fix = "Run `blaxel-mcp doctor --log-level info` to see the details in the log."
        return [Finding("models", "Models", failed(context.runtime.discovery.problem, fix))]
    entries = context.runtime.discovery.catalog.entries
    lookups = await run_each(context.runtime.listing.look_up, entries, at_once=_AT_ONCE)
    findings = [Finding("models", "Models", _overview(context, entries, names))]
    for entry, lookup in zip(entries, lookups, strict=True):
        result = judge_model(context, entry, lookup, names)
        findings.append(Finding(f"model:{entry.name}", f"Model {entry.name}", result))
        if result.outcome != "failed":
            context.callable.append(entry)
    return findings


def _overview(context: CheckContext, entries: tuple[CatalogEntry, ...], names: list[str]) -> Result:
    settings = context.config.settings
    if not entries:
        return warning(
            "no model has its own tool",
            "Add [[models]] entries to the settings file; `blaxel-mcp init` writes a file with one for each model."
            if names or not context.runtime.control_plane.enabled
            else f"Create a model API in workspace {context.workspace} in Blaxel's console.",
        )
    tools = min(len(entries), settings.tools.max_tools)
    counts = f"{len(settings.models)} configured, {len(entries) - len(settings.models)} discovered"
    rest = "" if tools == len(entries) else f"; run_model calls the other {len(entries) - tools}"
    return ok(f"{counts}, {tools} with their own tool{rest}")


def judge_model(context: CheckContext, entry: CatalogEntry, lookup: Lookup, names: list[str]) -> Result:
    """Return whether a model can be called, judged by its settings and the control plane's record of it.

    `names` are those of the models in the settings' workspace.
    """
    record = lookup.record
    try:
        check_access(context.config.settings.access, entry.name, entry.path)
        endpoint = resolve_base(
            context.config.settings,
            workspace=entry.settings.workspace or context.workspace,
            model=entry.name,
            forced_url=entry.settings.url,
            generation=record.generation if record else None,
            own_url=record.url if record else None,
        )
    except BlaxelError as error:
        return failed_by(error, f"The model comes from {_place(context, entry)}.")
    if trouble := _trouble(context, entry, lookup, names):
        return trouble
    if record and record.url:
        context.runtime.client.auth.trust(record.url)
    path = {None: "a path with the provider's model id", "": "its base endpoint"}.get(entry.path, entry.path)
    status = f", {record.shown_status}" if record and record.status else ""
    message = f"tool {entry.tool}, {entry.api.name} at {path}{status}, base URL {endpoint.base}"
    if not context.runtime.client.auth.is_trusted(endpoint.base):
        return warning(
            f"{message}; no credentials are sent there, since it is neither run_url nor the model's own URL.",
            f"Remove `url` from {_place(context, entry)}, unless that server needs no credentials.",
        )
    return ok(message)


def _trouble(context: CheckContext, entry: CatalogEntry, lookup: Lookup, names: list[str]) -> Result | None:
    """Return why the model cannot be called, by its record; None if it can. It fails only if the settings name it."""
    record = lookup.record
    if record is None:
        if not lookup.problem:
            return None
        workspace = entry.settings.workspace or context.workspace
        suggestion = closest(entry.name, names) if workspace == context.workspace else None
        guess = f"Did you mean {suggestion!r}? " if suggestion else ""
        return failed(
            f"Its record in workspace {workspace} could not be read: {lookup.problem}.",
            f"{guess}Fix `name` in {_place(context, entry)}, or remove the entry.",
        )
    is_configured = _is_configured(context, entry)
    outcome = failed if is_configured else warning
    leave_out = f"remove {_place(context, entry)}" if is_configured else f'set discovery.exclude = ["{entry.name}"]'
    if not record.enabled:
        return outcome("It is disabled in Blaxel.", f"Enable it in Blaxel's console, or {leave_out}.")
    if record.status in _LOST:
        return outcome(f"Its status is {record.status}.", f"Deploy it again in Blaxel's console, or {leave_out}.")
    if record.status not in (None, DEPLOYED):
        return warning(
            f"Its status is {record.shown_status}; it can be called once that is {DEPLOYED}.",
            "Wait for it; if that takes long, check it in Blaxel's console.",
        )
    return None


def _is_configured(context: CheckContext, entry: CatalogEntry) -> bool:
    return entry.settings in context.config.settings.models


def _place(context: CheckContext, entry: CatalogEntry) -> str:
    if not _is_configured(context, entry):
        return "the workspace's list of models"
    index = context.config.settings.models.index(entry.settings)
    return f"models[{index}] of {context.config.sources.get('models', 'the settings')}"


async def calls(context: CheckContext) -> list[Finding]:
    """Send one small request, which is billed, to each model whose check did not fail."""

    async def check(entry: CatalogEntry) -> Finding:
        return Finding(f"call:{entry.name}", f"Call {entry.name}", await _call(context, entry))

    return await run_each(check, context.callable, at_once=_AT_ONCE)


async def _call(context: CheckContext, entry: CatalogEntry) -> Result:
    if entry.api.file_arguments and entry.api.multipart:
        return skipped("not called, since its API needs a file")
    call = CallContext()
    try:
        arguments, _ = entry.schema.validator.validate(example_arguments(entry))
        invocation = Invocation.of_entry(entry, arguments, timeout_seconds=CALL_SECONDS)
        await context.runtime.inference.run(invocation, call)
    except BlaxelError as error:
        return failed_by(describe(error, call))
    facts = [f"answered in {time.perf_counter() - call.started:.1f} s"]
    if call.usage and call.usage.total_tokens is not None:
        facts.append(count(call.usage.total_tokens, "token"))
    if call.cost_usd is not None:
        facts.append(f"{call.cost_usd:.6f} USD")
    return ok(", ".join(facts))
