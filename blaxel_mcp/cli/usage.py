"""`blaxel-mcp usage`: calls, tokens and USD per day and model, against the budget."""

import argparse
import json
from functools import partial
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from blaxel_mcp.cli.options import configured
from blaxel_mcp.inference.spending import Spending

_NO_LINE_BREAKS = 1000
"""Columns where nobody looks at a window: a figure that is cut to fit one cannot be read by a program."""

_BAR = 24
"""Columns of the longest bar."""

_SMALLEST_USD = 0.0001

_COLUMNS = ("day", "model", "calls", "failed", "input", "output", "tokens", "USD")
_UNITS = ("calls", "tokens", "usd")


def usage(options: argparse.Namespace) -> int:
    """Print what calls have taken.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    report = anyio.run(partial(_report, options))
    if options.json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _print_report(report)
    return 0


async def _report(options: argparse.Namespace) -> dict[str, Any]:
    async with configured(options) as config:
        spending = Spending(config.settings)
        try:
            return await spending.report(options.days)
        finally:
            await spending.aclose()


def _print_report(report: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _NO_LINE_BREAKS
    if report["problem"]:
        console.print(report["problem"])
    if report["days"]:
        console.print(_table(report["days"]))
        if console.is_terminal:
            _print_chart(console, report["days"])
    else:
        console.print("No calls are in the ledger for these days.")
    for line in _budget_lines(report):
        console.print(line)
    console.print(f"ledger  {report['ledger']}")


def _table(days: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("day", "model") else "right")
    for day in days:
        for model in day["models"]:
            table.add_row(day["day"], *_cells(model["model"] or "(no name)", model))
        if len(day["models"]) > 1:
            table.add_row(day["day"], *_cells("all", day), style="bold")
    return table


def _cells(name: str, figures: dict[str, Any]) -> list[str]:
    counts = ("calls", "failed", "input_tokens", "output_tokens", "total_tokens")
    return [name, *(f"{figures[count]:,}" for count in counts), _usd(figures["cost_usd"])]


def _usd(cost: float | None) -> str:
    """A sum to a hundredth of a cent; one that is smaller is not nothing."""
    if cost is None:
        return "unknown"
    return f"{cost:.4f}" if cost == 0 or cost >= _SMALLEST_USD else f"<{_SMALLEST_USD}"


def _print_chart(console: Console, days: list[dict[str, Any]]) -> None:
    """A bar for each day: of money where all of it is known, else of tokens, else of calls."""
    measure = _measure(days)
    most = max(day[measure] for day in days) or 1
    console.print(f"\n{measure.replace('_', ' ').replace('cost usd', 'USD')} a day")
    for day in days:
        bar = "█" * round(day[measure] / most * _BAR)
        amount = _usd(day[measure]) if measure == "cost_usd" else f"{day[measure]:,}"
        console.print(f"{day['day']}  {bar or '▏':<{_BAR}}  {amount}")
    console.print()


def _measure(days: list[dict[str, Any]]) -> str:
    if all(day["cost_usd"] is not None and not day["without_price"] for day in days):
        return "cost_usd"
    return "total_tokens" if any(day["total_tokens"] for day in days) else "calls"


def _budget_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    for unit in _UNITS:
        used, cap = report["budget"][unit]["used"], report["budget"][unit]["cap"]
        if cap is not None:
            lines.append(f"today   {used:,g} of {cap:,g} {unit.replace('usd', 'USD')}, until {report['resets_at']}")
    return lines or ["budget  none set; [budget] in the settings file sets one"]
