"""`blaxel-mcp models`: the models, and how each is called."""

import argparse
import json
from functools import partial
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from blaxel_mcp.cli.options import configured
from blaxel_mcp.inference.runtime import build_runtime

_NO_LINE_BREAKS = 1000
"""Columns: a path cut to fit the window cannot be copied."""

_COLUMNS = ("name", "tool", "api", "path", "status")


def models(options: argparse.Namespace) -> int:
    """Print the models.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    listing = anyio.run(partial(_listing, options))
    if options.json:
        print(json.dumps(listing, ensure_ascii=False, indent=2))
    else:
        _print_table(listing)
    return 0


async def _listing(options: argparse.Namespace) -> dict[str, Any]:
    async with configured(options) as config:
        app = build_runtime(config)
        async with app.client:
            await app.discovery.refresh()
            listing = await app.listing.page(limit=max(1, len(app.discovery.catalog.entries)))
    del listing["next_offset"]
    return listing


def _print_table(listing: dict[str, Any]) -> None:
    # Nothing here is markup: names in brackets are TOML's.
    console = Console(highlight=False, soft_wrap=True, markup=False, width=_NO_LINE_BREAKS)
    console.print(f"workspace    {listing['workspace'] or 'none set'}")
    console.print(f"credentials  {listing['credentials'] or 'none'}")
    if listing["models"]:
        table = Table(*_COLUMNS, box=None, padding=(0, 2, 0, 0))
        for model in listing["models"]:
            table.add_row(*(str(model[column] or "unknown") for column in _COLUMNS))
        console.print()
        console.print(table)
    else:
        console.print("\nNo models are configured: add [[models]] entries to the settings file.")
    for note in listing["notes"]:
        console.print(f"note: {note}")
