"""What calls have taken, as people and programs read it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from blaxel_mcp.budget.caps import day_of, next_midnight
from blaxel_mcp.budget.figures import NANO, ModelDay, UsageTotals


def usage_report(
    found: Sequence[ModelDay], budget: dict[str, Any], *, now: datetime, ledger: str, problem: str | None
) -> dict[str, Any]:
    """The figures of each day and model, the latest day first, and what is used of the caps.

    Args:
        found: From the ledger, in its order.
        budget: What is used of the caps on all calls together, today.
        now: The time.
        ledger: Where the figures come from.
        problem: What is wrong with that, in a sentence; None for nothing.
    """
    return {
        "today": day_of(now),
        "resets_at": next_midnight(now).isoformat(timespec="seconds"),
        "budget": budget,
        "days": [_day(day, list(models)) for day, models in groupby(found, lambda entry: entry.day)],
        "ledger": ledger,
        "problem": problem,
    }


def _day(day: str, models: list[ModelDay]) -> dict[str, Any]:
    return {
        "day": day,
        **_figures(sum((entry.figures for entry in models), UsageTotals()), _unsettled(models)),
        "models": [
            {"model": entry.key[1], "workspace": entry.key[0], **_figures(entry.figures, entry.unsettled)}
            for entry in models
        ],
    }


def _unsettled(models: Iterable[ModelDay]) -> int:
    return sum(entry.unsettled for entry in models)


def _figures(figures: UsageTotals, unsettled: int) -> dict[str, Any]:
    """The figures by name: `calls` with those that have not ended; the cost null where none is known."""
    calls = figures.calls + unsettled
    return {
        "calls": calls,
        "unsettled": unsettled,
        "failed": figures.failed,
        "failed_maybe_billed": figures.failed_maybe_billed,
        "without_tokens": figures.without_tokens,
        "without_price": figures.without_price,
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
        "total_tokens": figures.total_tokens,
        "cost_usd": figures.nano_usd / NANO if _has_cost(figures) else None,
    }


def _has_cost(figures: UsageTotals) -> bool:
    return figures.nano_usd > 0 or figures.calls - figures.failed > figures.without_price
