"""`blaxel-mcp models`: the models and how to call each."""

import argparse
import json

from rich.table import Table

from blaxel_mcp.cli.console import ReportConsole, print_text, waiting
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.inference.runtime import build_runtime

_WIDTH = 1000
"""Columns: a path that is truncated to the width of the window cannot be copied."""

_COLUMNS = ("name", "tool", "api", "path", "status")


async def models(options: argparse.Namespace) -> int:
    """Print the models."""
    async with configured(options) as config:
        runtime = build_runtime(config)
        async with runtime.client:
            with waiting("asking Blaxel for the models"):
                await runtime.discovery.refresh()
                listing = await runtime.listing.page(limit=max(1, len(runtime.discovery.catalog.entries)))
    del listing["next_offset"]
    if options.json:
        print_text(json.dumps(listing, ensure_ascii=False, indent=2))
        return ExitCode.OK
    console = ReportConsole()
    console.width = _WIDTH
    console.print(f"workspace    {listing['workspace'] or 'none set'}")
    console.print(f"credentials  {listing['credentials'] or 'none'}")
    if listing["models"]:
        columns = (*_COLUMNS, "workspace") if len({model["workspace"] for model in listing["models"]}) > 1 else _COLUMNS
        table = Table(*columns, box=None, padding=(0, 2, 0, 0))
        for model in listing["models"]:
            table.add_row(*(for_terminal(str(model[column] or "unknown")) for column in columns))
        console.print()
        console.print(table)
    else:
        console.print("\nNo models are configured: add [[models]] entries to the settings file.")
    for note in listing["notes"]:
        console.print(for_terminal(f"note: {note}"))
    return ExitCode.OK
