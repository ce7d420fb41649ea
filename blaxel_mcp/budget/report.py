"""The usage report of `blaxel-mcp usage` and of the resource `blaxel://usage`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from blaxel_mcp.budget.caps import day_of, next_midnight
from blaxel_mcp.budget.figures import NANO, ModelDay, UsageTotals
from blaxel_mcp.core.redaction import visible

_REPORTED = (
    *("failed", "failed_maybe_billed", "without_tokens", "without_price"),
    *("input_tokens", "output_tokens", "total_tokens"),
)


def usage_report(
    days: Sequence[ModelDay],
    clients: Mapping[str, UsageTotals],
    budget: dict[str, Any],
    *,
    now: datetime,
    ledger: str,
    problem: str | None,
) -> dict[str, Any]:
    """Return days and clients as `Ledger` returns them, and today's budget, as JSON values, the latest day first.

    The ledger is its path, and the problem says why it cannot be used.
    """
    return {
        "today": day_of(now),
        "resets_at": next_midnight(now).isoformat(timespec="seconds"),
        "budget": budget,
        "days": [_day_report(day, list(models)) for day, models in groupby(days, lambda entry: entry.day)],
        "clients": [
            {
                "client": visible(client) or None,
                "calls": totals.calls,
                "total_tokens": totals.total_tokens,
                "cost_usd": totals.nano_usd / NANO if totals.nano_usd else None,
            }
            for client, totals in clients.items()
        ],
        "ledger": ledger,
        "problem": problem,
    }


def _day_report(day: str, models: list[ModelDay]) -> dict[str, Any]:
    totals = sum((entry.totals for entry in models), UsageTotals())
    return {
        "day": day,
        **_fields(totals, sum(entry.unsettled for entry in models)),
        "models": [
            {"model": entry.key[1], "workspace": entry.key[0], **_fields(entry.totals, entry.unsettled)}
            for entry in models
        ],
    }


def _fields(totals: UsageTotals, unsettled: int) -> dict[str, Any]:
    """Return the fields of a row; `calls` includes unsettled ones, and `cost_usd` is null if no cost is known."""
    has_cost = totals.nano_usd > 0 or totals.calls - totals.failed > totals.without_price
    return {
        "calls": totals.calls + unsettled,
        "unsettled": unsettled,
        **{name: getattr(totals, name) for name in _REPORTED},
        "cost_usd": totals.nano_usd / NANO if has_cost else None,
    }
