"""`blaxel-mcp calls`: the last calls, and the receipt of one."""

import argparse
import json
from contextlib import aclosing
from typing import Any

from blaxel_mcp.cli.console import ReportConsole, print_text, shown_usd
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import for_terminal
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.inference.spending import Spending

_COLUMNS = ("time (UTC)", "model", "tool", "status", "tokens", "USD", "call_id")
_NUMBERS = ("tokens", "USD")
_WIDE = 110
"""Columns in which a row fits on one line; in a narrower terminal, a call takes three."""

_NO_ANSWER = (
    "The answer itself is not in the ledger: the server that made the call keeps it while it runs, for `read_result` "
    "and as the resource blaxel://calls/{call_id}."
)


async def calls(options: argparse.Namespace) -> int:
    """Print the last calls, or with `show ID` the record of one."""
    call_id = options.words[-1] if options.words else None
    if options.words and (options.words[:-1] != ["show"] or not call_id):
        raise InvalidArgumentsError("The command is `blaxel-mcp calls` or `blaxel-mcp calls show ID`.")
    async with configured(options) as config, aclosing(Spending(config.settings)) as spending:
        records = await spending.recent_calls(last=options.last, call_id=call_id)
        if call_id and not records:
            known = [record["receipt"]["call_id"] for record in await spending.recent_calls()]
            guess = closest(call_id, known)
            raise BlaxelError(
                f"The ledger has no call {call_id!r}.",
                code="not_found",
                origin="caller",
                hint=f"Did you mean {guess!r}?" if guess else "`blaxel-mcp calls` lists those that are kept.",
            )
    if call_id:
        print_text(json.dumps(records[0], ensure_ascii=False, indent=2))
        if not options.json:
            print_text(_NO_ANSWER.format(call_id=call_id))
    elif options.json:
        print_text(json.dumps([_row(record) for record in records], ensure_ascii=False, indent=2))
    else:
        _print_table([_row(record) for record in records])
    return ExitCode.OK


def _row(record: JSONObject) -> dict[str, Any]:
    receipt = record["receipt"]
    fields = {name: record[name] for name in ("time", "tool", "client", "outcome")}
    figures = {name: receipt[name] for name in ("model", "status", "cost_usd", "call_id")}
    return {**fields, **figures, "tokens": (receipt["usage"] or {}).get("total_tokens")}


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print_text("No calls are in the ledger.")
        return
    console = ReportConsole()
    if console.width < _WIDE:
        for time, model, tool, status, tokens, usd, call_id in map(_cells, rows):
            console.print(f"{time}  {model} ({tool})  {status}", style="bold")
            console.print(f"  {tokens} tokens, {usd} USD\n  {call_id}")
    else:
        console.print_table(_COLUMNS, map(_cells, rows), texts=[name for name in _COLUMNS if name not in _NUMBERS])
    console.print("\n`blaxel-mcp calls show ID` prints the receipt of one.")


def _cells(row: dict[str, Any]) -> list[str]:
    time = str(row["time"])[:19].replace("T", " ")
    names = (for_terminal(row[name] or "") for name in ("model", "tool"))
    status = f"{row['status'] or ''} {'' if row['outcome'] == 'ok' else row['outcome']}".strip()
    tokens = "unknown" if row["tokens"] is None else f"{row['tokens']:,}"
    return [time, *names, status, tokens, shown_usd(row["cost_usd"]), row["call_id"]]
