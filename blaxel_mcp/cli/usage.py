"""`blaxel-mcp usage`: calls, tokens and USD per day and model, against the budget."""

import argparse
import json
from contextlib import aclosing
from typing import Any

from rich.table import Table

from blaxel_mcp.cli.console import ReportConsole, print_text
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.inference.spending import Spending

_PIPE_WIDTH = 1000
"""Columns outside a terminal: a program cannot read a number that is truncated to the width of a window."""

_BAR_WIDTH = 24
"""Columns of the longest bar."""

_SMALLEST_USD = 0.0001

_COLUMNS = ("day", "model", "calls", "failed", "input", "output", "tokens", "USD")
_UNITS = ("calls", "tokens", "usd")


async def usage(options: argparse.Namespace) -> int:
    """Print the usage and the budget."""
    async with configured(options) as config, aclosing(Spending(config.settings)) as spending:
        report = await spending.report(options.days)
    if options.json:
        print_text(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _print_report(report)
    return ExitCode.OK


def _print_report(report: dict[str, Any]) -> None:
    console = ReportConsole()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if report["problem"]:
        console.print(for_terminal(report["problem"]))
    if report["days"]:
        console.print(_table(report["days"]))
        if console.is_terminal:
            _print_chart(console, report["days"])
    else:
        console.print("No calls are in the ledger for these days.")
    capped = [(unit, amounts) for unit in _UNITS if (amounts := report["budget"][unit])["cap"] is not None]
    for unit, amounts in capped:
        name = unit.replace("usd", "USD")
        console.print(f"today   {amounts['used']:,g} of {amounts['cap']:,g} {name}, until {report['resets_at']}")
    if not capped:
        console.print("budget  none set; [budget] in the settings file sets one")
    console.print(for_terminal(f"ledger  {report['ledger']}"))


def _table(days: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("day", "model") else "right")
    for day in days:
        for model in day["models"]:
            table.add_row(day["day"], *_cells(for_terminal(model["model"] or "(no name)"), model))
        if len(day["models"]) > 1:
            table.add_row(day["day"], *_cells("all", day), style="bold")
    return table


def _cells(name: str, totals: dict[str, Any]) -> list[str]:
    counts = ("calls", "failed", "input_tokens", "output_tokens", "total_tokens")
    return [name, *(f"{totals[count]:,}" for count in counts), _usd(totals["cost_usd"])]


def _usd(cost: float | None) -> str:
    """Format USD with four decimals; a smaller amount than that is shown as more than zero."""
    if cost is None:
        return "unknown"
    return f"{cost:.4f}" if cost == 0 or cost >= _SMALLEST_USD else f"<{_SMALLEST_USD}"


def _print_chart(console: ReportConsole, days: list[dict[str, Any]]) -> None:
    """Print a bar per day: of USD if every cost is known, otherwise of tokens, otherwise of calls."""
    if all(day["cost_usd"] is not None and not day["without_price"] for day in days):
        measure, title = "cost_usd", "USD"
    elif any(day["total_tokens"] for day in days):
        measure, title = "total_tokens", "total tokens"
    else:
        measure, title = "calls", "calls"
    largest = max(day[measure] for day in days) or 1
    console.print(f"\n{title} a day")
    for day in days:
        bar = "█" * round(day[measure] / largest * _BAR_WIDTH)
        amount = _usd(day[measure]) if measure == "cost_usd" else f"{day[measure]:,}"
        console.print(f"{day['day']}  {bar or '▏':<{_BAR_WIDTH}}  {amount}")
    console.print()
