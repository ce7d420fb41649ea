"""`blaxel-mcp models`: the models and how to call each."""

import argparse
import json
from typing import Any

from blaxel_mcp.catalog.discovery import NO_WORKSPACE, SET_WORKSPACE
from blaxel_mcp.cli.console import ReportConsole, aligned, folded, print_text, waiting
from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.inference.runtime import Runtime, build_runtime

_COLUMNS = ("name", "tool", "api", "path", "status")


async def models(options: argparse.Namespace) -> int:
    """Print the models; the exit code is 1 if the workspace cannot be read, and the cause is printed once."""
    problem = None
    async with configured(options) as config:
        runtime = build_runtime(config)
        async with runtime.client:
            with waiting("asking Blaxel for the models"):
                try:
                    listing = await _listing(runtime)
                except BlaxelError as error:
                    problem, listing = error, await runtime.listing.page(limit=len(config.settings.models))
                    listing["notes"] = [str(error)]
    del listing["next_offset"]
    if options.json:
        print_text(json.dumps(listing, ensure_ascii=False, indent=2))
    elif listing["models"] or problem is None:
        # The problem itself goes to stderr.
        notes = listing["notes"] if problem is None else []
        _print_table({**listing, "notes": notes}, is_discovering=runtime.discovery.enabled)
    if problem is None:
        return ExitCode.OK
    print_error(problem)
    return ExitCode.FAILED


async def _listing(runtime: Runtime) -> dict[str, Any]:
    """Return the page with all models; raise if neither the workspace's list nor any model's record can be read."""
    if runtime.discovery.enabled:
        await runtime.discovery.read()
    listing = await runtime.listing.page(limit=max(1, len(runtime.discovery.catalog.entries)))
    is_unknown = listing["notes"] and all(model["type"] is None is model["status"] for model in listing["models"])
    if is_unknown and not runtime.discovery.enabled:
        if listing["workspace"] is None:
            raise ConfigurationError(NO_WORKSPACE, hint=SET_WORKSPACE)
        # The notes only say that there is no record. If the list can be read, the models do not exist.
        await runtime.control_plane.list_models(listing["workspace"])
    return listing


def _print_table(listing: dict[str, Any], *, is_discovering: bool) -> None:
    console = ReportConsole()
    console.print(f"workspace    {listing['workspace'] or 'none set'}")
    console.print(f"credentials  {listing['credentials'] or 'none'}")
    if listing["models"]:
        several = len({model["workspace"] for model in listing["models"]}) > 1
        columns = (*_COLUMNS, "workspace") if several else _COLUMNS
        console.print()
        rows = [[for_terminal(str(model[column] or "unknown")) for column in columns] for model in listing["models"]]
        if lines := aligned([list(columns), *rows], console.window):
            console.print("\n".join(lines))
        else:
            # The terminal is too narrow, and a truncated path could not be copied.
            for name, tool, api, path, status, *workspace in rows:
                console.print("  ".join((name, status, *([] if tool == name else [f"tool {tool}"]), *workspace)))
                console.print(f"  {folded(f'{api} at {path}', console.window, 4)}")
    elif is_discovering:
        console.print(
            f"\nWorkspace {listing['workspace']} has no model that discovery.include and discovery.exclude let through."
            "\nCreate a model API in Blaxel's console, or change these settings."
        )
    else:
        console.print(
            "\nNo models are configured: add [[models]] entries to the settings file, or set discovery.enabled = true."
        )
    for note in listing["notes"]:
        console.print(for_terminal(f"note: {note}"))
