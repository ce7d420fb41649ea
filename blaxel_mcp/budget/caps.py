"""Daily caps on calls, tokens and cost: whether one more call fits, the error if it does not, and the usage report.

These are pure functions: `inference.spending` supplies the usage, from the ledger, and the time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from blaxel_mcp.budget.estimates import Estimate
from blaxel_mcp.budget.figures import NANO, Cap, ModelDay, ModelKey, UsageTotals
from blaxel_mcp.budget.prices import configured_price
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import visible
from blaxel_mcp.settings.limits import CapSettings
from blaxel_mcp.settings.models import ModelSettings

_NO_CAPS = (None, None, None)
_NOTHING_FITS = -1
"""The limit of a cap that no call without a price fits."""

_MAX_NAMES = 5
"""Configured models that a refusal lists."""


def next_midnight(now: datetime) -> datetime:
    """Return when the caps reset: the next midnight in UTC."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def day_of(now: datetime) -> str:
    """Return the day that a call counts for, in UTC: `2026-11-24`."""
    return now.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """All caps of a server: those on all calls together, and those of models with a budget of their own.

    The workspace is that of models that name none.
    """

    caps: CapSettings
    models: tuple[ModelSettings, ...] = ()
    workspace: str | None = None

    def caps_on(self, model: ModelSettings | None) -> list[CapSettings]:
        """Return the settings that set a cap on the calls of a model; none if no cap applies."""
        every = [self.caps, model.budget] if model and model.budget else [self.caps]
        return [caps for caps in every if (caps.calls_per_day, caps.tokens_per_day, caps.usd_per_day) != _NO_CAPS]

    def limits_money(self, model: ModelSettings | None) -> bool:
        """Return whether a cap or a question in USD applies to the calls of a model."""
        has_cap = any(caps.usd_per_day is not None for caps in self.caps_on(model))
        return has_cap or self.ask_over_usd(model) is not None

    def ask_over_usd(self, model: ModelSettings | None) -> float | None:
        """Return the estimate in USD above which a person is asked, the model's own first; None for never."""
        own = model.budget.ask_over_usd if model and model.budget else None
        return self.caps.ask_over_usd if own is None else own

    def allows_unpriced(self, model: ModelSettings | None) -> bool:
        """Return whether calls without a known price are allowed; of two settings, the stricter one counts."""
        own = model.budget if model else None
        return self.caps.unpriced == "allow" and (own is None or own.unpriced == "allow")

    def requires_ledger(self, model: ModelSettings | None) -> bool:
        """Return whether calls of a model are refused while no ledger can count them."""
        return any(caps.on_ledger_failure == "refuse" for caps in self.caps_on(model))

    def figures(self, model: ModelSettings | None, expected: Estimate) -> Iterator[Cap]:
        """Yield the caps on a call as figures, which a ledger can compare where it counts."""
        for caps in self.caps_on(model):
            of_model = caps is not self.caps
            if caps.calls_per_day is not None:
                yield Cap("calls", caps.calls_per_day, of_model=of_model)
            if caps.tokens_per_day is not None:
                yield Cap("tokens", caps.tokens_per_day, of_model=of_model)
            if caps.usd_per_day is not None and (expected.price is not None or caps.unpriced == "refuse"):
                fits = expected.is_priced or caps.unpriced == "allow"
                yield Cap("nano_usd", caps.usd_per_day * NANO if fits else _NOTHING_FITS, of_model=of_model)

    def check(
        self,
        key: ModelKey,
        model: ModelSettings | None,
        expected: Estimate,
        used: Mapping[ModelKey, UsageTotals],
        now: datetime,
    ) -> None:
        """Raise an error if a call does not fit the caps, with the day's usage of each model.

        Raises:
            BlaxelError: The code is `budget_exceeded`; `retry_after_seconds` lasts until the caps reset.
        """
        exceeded = self._exceeded(key, model, expected, used)
        if exceeded is None:
            return
        cap, counted = exceeded
        resets = next_midnight(now)
        fix = f"The caps reset at {resets:%Y-%m-%d %H:%M} UTC."
        owner = model.name if model and cap.of_model else None
        if cap.limit == _NOTHING_FITS:
            reason, fix = _unpriced(expected, owner)
        else:
            reason = _reason(cap, owner, expected, counted)
        raise BlaxelError(
            f"The call to {key[1]!r} was not sent: {reason}.",
            code="budget_exceeded",
            hint=f"{fix} {self._remaining(used)}",
            retryable=True,
            retry_after_seconds=math.ceil((resets - now).total_seconds()),
        )

    def report(
        self, key: ModelKey, model: ModelSettings | None, used: Mapping[ModelKey, UsageTotals], now: datetime
    ) -> Any:
        """Return the caps on a model and their usage, for a receipt; None if no cap applies."""
        if not self.caps_on(model):
            return None
        own = used.get(key, UsageTotals())
        return {
            "day": day_of(now),
            "resets_at": next_midnight(now).isoformat(timespec="seconds"),
            "all": _usage_of(self.caps, sum(used.values(), UsageTotals())),
            "model": _usage_of(model.budget, own) if model and model.budget else None,
        }

    def overall(self, used: Mapping[ModelKey, UsageTotals]) -> dict[str, Any]:
        """Return the usage of the caps on all calls together."""
        return _usage_of(self.caps, sum(used.values(), UsageTotals()))

    def _exceeded(
        self, key: ModelKey, model: ModelSettings | None, expected: Estimate, used: Mapping[ModelKey, UsageTotals]
    ) -> tuple[Cap, int] | None:
        """Return the first cap that a call does not fit, and its usage so far."""
        needed = {"calls": 1, "tokens": expected.tokens, "nano_usd": expected.nano_usd}
        overall, own = _counted(sum(used.values(), UsageTotals())), _counted(used.get(key, UsageTotals()))
        for cap in self.figures(model, expected):
            counted = (own if cap.of_model else overall)[cap.figure]
            if counted + needed[cap.figure] > cap.limit:
                return cap, counted
        return None

    def _remaining(self, used: Mapping[ModelKey, UsageTotals]) -> str:
        """Return a sentence that lists the models that a small call could still use."""
        keys = [((model.workspace or self.workspace or "", model.name), model) for model in self.models]
        names = [model.name for key, model in keys if self._exceeded(key, model, _small_call(model), used) is None]
        listed = names[:_MAX_NAMES]
        if len(names) > _MAX_NAMES:
            listed.append(f"{len(names) - _MAX_NAMES} more in [[models]]")
        if self._exceeded(("", ""), None, _small_call(None), used) is None:
            listed.append("any model without an entry in [[models]]")
        return f"Models with budget left: {', '.join(listed)}." if listed else "No model has budget left."


def _small_call(model: ModelSettings | None) -> Estimate:
    price = configured_price(model.price) if model and model.price else None
    return Estimate(input_tokens=1, output_tokens=1, price=price)


def _counted(totals: UsageTotals) -> dict[str, int]:
    """Return the usage that counts against caps, by their figures."""
    return {
        "calls": totals.calls,
        "tokens": totals.total_tokens + totals.held_tokens,
        "nano_usd": totals.nano_usd + totals.held_nano_usd,
    }


def _reason(cap: Cap, owner: str | None, expected: Estimate, used: int) -> str:
    """Return why a call does not fit a cap; the owner is the model whose own cap it is."""
    left = max(cap.limit - used, 0)
    match cap.figure:
        case "calls":
            return f"{_setting('calls_per_day', owner)} is used up ({used:,} of {cap.limit:,})"
        case "tokens":
            setting = _setting("tokens_per_day", owner)
            return f"it is estimated at {expected.tokens:,} tokens, and {setting} has {left:,} of {cap.limit:,} left"
        case "nano_usd":
            cost, rest, limit = (f"{nano / NANO:.6f}" for nano in (expected.nano_usd, left, cap.limit))
            return f"it is estimated at {cost} USD, and {_setting('usd_per_day', owner)} has {rest} of {limit} USD left"


def _unpriced(expected: Estimate, owner: str | None) -> tuple[str, str]:
    """Return why no call without a price fits, and what allows it."""
    is_set, allow = f"{_setting('usd_per_day', owner)} is set", f'set {_setting("unpriced", owner)} to "allow"'
    if expected.price is None:
        return (
            f"{is_set}, and the price of the model is not known",
            f"Set `price` for the model in [[models]], or {allow}.",
        )
    return (
        f"{is_set}, and the endpoint reports no tokens that could be priced",
        f"To count its calls by an estimate, {allow}.",
    )


def _setting(key: str, owner: str | None) -> str:
    return f"budget.{key}" if owner is None else f"{key} of {owner!r}"


def _usage_of(caps: CapSettings, totals: UsageTotals) -> dict[str, Any]:
    counted = _counted(totals)
    return {
        "calls": {"used": counted["calls"], "cap": caps.calls_per_day},
        "tokens": {"used": counted["tokens"], "cap": caps.tokens_per_day},
        "usd": {"used": counted["nano_usd"] / NANO, "cap": caps.usd_per_day},
    }


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
