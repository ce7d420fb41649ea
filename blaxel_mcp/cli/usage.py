"""`blaxel-mcp usage`: calls, tokens and USD per day and model, against the budget."""

import argparse
import json
from contextlib import aclosing
from functools import partial
from typing import Any

from rich.text import Text

from blaxel_mcp.cli.console import ReportConsole, print_text, shown_usd
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.inference.spending import Spending

_BAR_WIDTH = 24
"""Columns of the longest bar."""

_WARNING_SHARE = 0.8
_WIDE = 90
"""Columns in which all figures of a day and a model fit on one line."""

_COLUMNS = ("day", "model", "calls", "failed", "input", "output", "tokens", "USD")
_COUNTS = ("calls", "failed", "input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("failed", "input", "output")

_usd = partial(shown_usd, decimals=4)


async def usage(options: argparse.Namespace) -> int:
    """Print the usage and the budget; the exit code is 1 if the ledger cannot be read."""
    async with configured(options) as config, aclosing(Spending(config.settings)) as spending:
        report = await spending.report(options.days)
    if options.json:
        print_text(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _print_report(report)
    return ExitCode.FAILED if report["problem"] else ExitCode.OK


def _print_report(report: dict[str, Any]) -> None:
    console = ReportConsole()
    if report["days"]:
        _print_days(console, report["days"])
        if len(report["clients"]) > 1 or (report["clients"] and console.is_terminal):
            console.print()
            rows = (_cells(client["client"], client, "calls", "total_tokens") for client in report["clients"])
            console.print_table(("client", "calls", "tokens", "USD"), rows, texts=("client",))
        if console.is_terminal:
            _print_chart(console, report["days"])
    elif not report["problem"]:
        console.print("No calls are in the ledger for these days.")
    capped = {unit: amounts for unit, amounts in report["budget"].items() if amounts["cap"] is not None}
    for unit, amounts in capped.items():
        _print_cap(console, unit, amounts, report["resets_at"])
    if not capped:
        console.print("budget  none set; [budget] in the settings file sets one")
    console.print(for_terminal(f"ledger  {report['ledger']}"))


def _print_days(console: ReportConsole, days: list[dict[str, Any]]) -> None:
    """Print a row for each day and model; in a narrow terminal without failures and the parts of the tokens."""
    rows: list[list[str | Text]] = []
    for day in days:
        rows += ([day["day"], *_cells(model["model"], model, *_COUNTS)] for model in day["models"])
        if len(day["models"]) > 1:
            rows.append([Text(cell, "bold") for cell in (day["day"], *_cells("all", day, *_COUNTS))])
    shown = [index for index, name in enumerate(_COLUMNS) if console.width >= _WIDE or name not in _DETAILS]
    columns, *cells = ([row[index] for index in shown] for row in (_COLUMNS, *rows))
    console.print_table(map(str, columns), cells, texts=("day", "model"))


def _cells(name: str, totals: dict[str, Any], *counts: str) -> list[str]:
    return [for_terminal(name or "(no name)"), *(f"{totals[count]:,}" for count in counts), _usd(totals["cost_usd"])]


def _print_cap(console: ReportConsole, unit: str, amounts: dict[str, Any], resets_at: str) -> None:
    used, cap = amounts["used"], amounts["cap"]
    share = used / cap if cap else 1.0
    figures = f"{used:,} of {cap:,} {unit}"
    if unit == "usd":
        figures = f"{_usd(used)} of {f'{cap:,.9f}'.rstrip('0').rstrip('.')} USD"
    if console.is_terminal:
        filled = min(round(share * _BAR_WIDTH), _BAR_WIDTH)
        console.print(f"today   {'█' * filled}{'░' * (_BAR_WIDTH - filled)}  {figures} ({share:.0%})")
        console.print(f"        until {resets_at[:16].replace('T', ' ')} UTC")
    else:
        console.print(f"today   {figures}, until {resets_at}")
    if share >= _WARNING_SHARE:
        console.print(f"warning: {share:.0%} of budget.{unit}_per_day is used", style="bold yellow")


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
