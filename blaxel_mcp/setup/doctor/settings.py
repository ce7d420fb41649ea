"""The settings, the workspace, the credentials and the ledger: what is on this machine."""

import shlex
from collections import defaultdict
from datetime import UTC, datetime

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
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Result, failed, failed_by, ok, warning

_UNITS = ("calls", "tokens", "usd")
_FOREVER = 253_402_300_799
"""The end of the year 9999, after which dates cannot be written."""


async def settings(context: CheckContext) -> Result:
    """Say which file was read and where each value came from, or what is wrong with them."""
    if context.problem is not None:
        return failed_by(context.problem, _settings_fix(context))
    config = context.config
    keys = defaultdict(list)
    for key, source in config.sources.items():
        keys[source].append(key)
    origins = [f"{', '.join(given)} from {source}" for source, given in keys.items()]
    file = str(config.file or f"no settings file ({default_settings_path()} would be one)")
    found = "; ".join([file, *origins])
    if config.warnings:
        return warning(f"{found}. {' '.join(config.warnings)}", "Mend what is named here, or take it out.")
    return ok(found)


def _settings_fix(context: CheckContext) -> str:
    if context.named_file is not None and not context.named_file.exists():
        return f"`blaxel-mcp init --config {shlex.quote(str(context.named_file))}` writes one there."
    if context.problem is not None and context.problem.hint:
        return ""
    return "Mend each line that is named, then run `blaxel-mcp doctor` again; config.example.toml has every key."


async def workspace(context: CheckContext) -> Result:
    """Say which workspace is called."""
    if context.workspace:
        return ok(f"{context.workspace} ({context.config.place('workspace')})")
    return failed(
        "No Blaxel workspace is set, so no model has an address.",
        "Set BL_WORKSPACE, or `workspace` in the settings file, or run `bl login WORKSPACE`.",
    )


async def credentials(context: CheckContext) -> Result:
    """Say which credentials count and what kind they are."""
    resolved = resolve_credentials(context.config, None)
    if resolved is None:
        return failed_by(missing_credentials(context.config))
    return ok(f"{kind_of(resolved)} ({resolved.source})")


def kind_of(resolved: ResolvedCredentials) -> str:
    """What credentials are, in words."""
    match resolved.credentials:
        case APIKey():
            return "an API key"
        case ClientCredentials():
            return "client credentials"
        case KeyCommand(command):
            return f"an API key that the command {command[0]!r} prints"
        case DeviceLogin():
            return "a login of `bl login`"


def expiry(seconds: float) -> str:
    """Say until when an access token is good, as the end of a sentence; empty where nothing is known."""
    if seconds > _FOREVER:
        return ""
    until = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"; it is good until {until} and is renewed before that"


async def ledger(context: CheckContext) -> Result:
    """Say where calls are counted, and what is used of the budget today."""
    told = await context.runtime.spending.report(1)
    if told["problem"]:
        path, moved = shlex.quote(told["ledger"]), shlex.quote(f"{told['ledger']}.broken")
        return failed(
            told["problem"],
            f"`mv {path} {moved}` lets the next call begin a new one; where it is the folder that cannot be written, "
            "mend its permissions, or name another file in budget.ledger.",
        )
    used = told["budget"]
    figures = ", ".join(
        f"{used[unit]['used']:,g} {unit.replace('usd', 'USD')}"
        + ("" if used[unit]["cap"] is None else f" of {used[unit]['cap']:,g}")
        for unit in _UNITS
    )
    where = "counted by each process alone" if told["ledger"] == MEMORY else told["ledger"]
    empty = [unit for unit in _UNITS if used[unit]["cap"] is not None and used[unit]["used"] >= used[unit]["cap"]]
    if empty:
        keys = " and ".join(f"budget.{unit}_per_day" for unit in empty)
        return warning(
            f"{where}; today {figures}, so calls are refused until {told['resets_at']}.",
            f"Wait until then, or raise {keys} in the settings.",
        )
    return ok(f"{where}; today {figures}")
