"""Checks of this machine: the settings, the workspace, the credentials, the ledger and the versions."""

import platform
import shlex
import sys
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from blaxel_mcp import __version__
from blaxel_mcp.budget.ledger import MEMORY
from blaxel_mcp.client.auth.credentials import (
    APIKey,
    ClientCredentials,
    DeviceLogin,
    KeyCommand,
    ResolvedCredentials,
    missing_credentials,
    resolve_credentials,
)
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding, Result, count, failed, failed_by, ok, warning

_FIX_LINES = "Fix each line named above, then run `blaxel-mcp doctor` again; config.example.toml lists every key."
_PACKAGES = ("mcp", "httpx", "pydantic", "anyio")
_MAX_TIMESTAMP = 253_402_300_799
"""The end of the year 9999, after which `datetime` cannot represent a date."""


async def settings(context: CheckContext) -> Result:
    """Report the settings file and the source of each value, or the mistakes in them."""
    if context.problem is not None:
        file, is_missing = context.named_file, False
        with suppress(OSError):
            is_missing = file is not None and not file.exists()
        if is_missing:
            init = f"blaxel-mcp init --config {shlex.quote(str(file))}"
            fix = f"Create it with `{init}`, or without asking Blaxel with `{init} --empty`."
            return failed(context.problem.message, fix)
        return failed_by(context.problem, "" if context.problem.hint else _FIX_LINES)
    config = context.config
    keys = defaultdict(list)
    for key, source in config.sources.items():
        keys[source].append(key)
    origin = str(config.file or f"no settings file (default: {default_settings_path()})")
    message = "; ".join([origin, *(f"{', '.join(names)} from {source}" for source, names in keys.items())])
    if config.warnings:
        return warning(f"{message}. {' '.join(config.warnings)}", "Fix or remove each value named here.")
    return ok(message)


async def workspace(context: CheckContext) -> Result:
    """Report the workspace and its source."""
    if context.workspace:
        return ok(f"{context.workspace} ({context.config.place('workspace')})")
    return failed(
        "No Blaxel workspace is set.",
        "Run `export BL_WORKSPACE=NAME` or `bl login NAME`, or set `workspace` in the settings file.",
    )


async def credentials(context: CheckContext) -> Result:
    """Report the kind of the credentials in use and their source."""
    resolved = resolve_credentials(context.config, None)
    if resolved is None:
        return failed_by(missing_credentials(context.config))
    for name in context.config.settings.listed_workspaces:
        if resolve_credentials(context.config, name) is None:
            return failed_by(missing_credentials(context.config, name))
    return ok(f"{kind_of(resolved)} ({resolved.source})")


def kind_of(resolved: ResolvedCredentials) -> str:
    """Return the kind of credentials, such as "an API key"."""
    match resolved.credentials:
        case APIKey():
            return "an API key"
        case ClientCredentials():
            return "client credentials"
        case KeyCommand(command):
            return f"an API key from the command {command[0]!r}"
        case DeviceLogin():
            return "a `bl login` session"


def expiry(seconds: float) -> str:
    """Return the expiry of an access token, in seconds since the epoch, as the end of a sentence; empty if infinite."""
    if seconds > _MAX_TIMESTAMP:
        return ""
    until = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f", valid until {until} and renewed before that"


async def ledger(context: CheckContext) -> Result:
    """Report where calls are recorded, and today's usage of the budget."""
    usage = await context.runtime.spending.report(1)
    if usage["problem"] and "://" in usage["ledger"]:
        return failed(usage["problem"], "Start that engine, or fix its URL in budget.ledger or shared.url.")
    if usage["problem"]:
        path, moved = shlex.quote(usage["ledger"]), shlex.quote(f"{usage['ledger']}.broken")
        return failed(
            usage["problem"],
            f"Run `mv {path} {moved}`; the next call starts a new ledger. If the folder is not writable, fix its "
            "permissions or set budget.ledger to another file.",
        )
    budget = usage["budget"]
    where = "in memory, for this process only" if usage["ledger"] == MEMORY else usage["ledger"]
    usd = budget["usd"]
    cap = "" if usd["cap"] is None else f" of {usd['cap']:,.6f}"
    message = f"{where}; today {_amount(budget['calls'], 'call')}, {_amount(budget['tokens'], 'token')}, "
    message += f"{usd['used']:,.6f}{cap} USD"
    used_up = [unit for unit, part in budget.items() if part["cap"] is not None and part["used"] >= part["cap"]]
    if not used_up:
        return ok(message)
    keys = " and ".join(f"budget.{unit}_per_day" for unit in used_up)
    until = datetime.fromisoformat(usage["resets_at"]).strftime("%Y-%m-%d %H:%M UTC")
    return warning(
        f"{message}, so calls are refused until {until}.", f"Wait until then, or raise {keys} in the settings."
    )


async def audit(context: CheckContext) -> Result | list[Finding]:
    """Report the audit file, if there is one. One that cannot be written is a failure of the check of the settings."""
    file = context.config.settings.audit.file
    return [] if file is None else ok(f"{file}: a line for each call that was billed or may have been")


def _amount(figures: Any, noun: str) -> str:
    if figures["cap"] is None:
        return count(figures["used"], noun)
    return f"{figures['used']:,} of {count(figures['cap'], noun)}"


async def versions(context: CheckContext) -> Result:  # noqa: ARG001 - every check takes the context
    """List the versions that a bug report needs."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"Python {platform.python_version()} ({sys.executable})"
    return ok(f"blaxel-mcp {__version__}, {python}, {packages}, {platform.platform()}")
