"""Daily caps on calls, tokens and cost: whether one more call fits, and the error if it does not.

These are pure functions: `inference.spending` supplies the usage, from the ledger, and the time.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from blaxel_mcp.budget.estimates import Estimate
from blaxel_mcp.budget.figures import NANO, Cap, ModelKey, UsageTotals
from blaxel_mcp.budget.prices import configured_price
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.schema import CapSettings, ModelSettings

_NO_CAPS = (None, None, None)
_MAX_NAMES = 5
"""Configured models that a refusal lists."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a call does not fit a cap.

    Attributes:
        reason: The end of the error message.
        fix: A sentence on what allows the call; empty if only the next day does.
    """

    reason: str
    fix: str = ""


def next_midnight(now: datetime) -> datetime:
    """Return when the caps reset: the next midnight in UTC."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def day_of(now: datetime) -> str:
    """Return the day that a call counts for, in UTC: `2026-11-24`."""
    return now.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """All caps of a server.

    Attributes:
        caps: The caps on all calls together.
        models: The configured models, which may have a price and caps of their own.
        workspace: The workspace of models that name none.
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
        every = [self.caps, model.budget] if model and model.budget else [self.caps]
        return all(caps.unpriced == "allow" for caps in every)

    def on_ledger_failure(self, model: ModelSettings | None) -> str:
        """Return `refuse` or `allow` for calls of a model without a ledger; of two settings, the stricter one."""
        choices = {caps.on_ledger_failure for caps in self.caps_on(model)}
        return "refuse" if "refuse" in choices else "allow"

    def figures(self, model: ModelSettings | None, expected: Estimate) -> tuple[Cap, ...]:
        """Return the caps on a call as figures: with them, a ledger decides as `check` does."""
        own = _figures(model.budget, expected, True) if model and model.budget else ()  # noqa: FBT003 - a field of `Cap`
        return (*_figures(self.caps, expected, False), *own)  # noqa: FBT003 - the same

    def check(
        self,
        key: ModelKey,
        model: ModelSettings | None,
        expected: Estimate,
        used: Mapping[ModelKey, UsageTotals],
        now: datetime,
    ) -> None:
        """Raise an error if a call does not fit the caps.

        Args:
            key: The model's workspace and name.
            model: The settings of the model; None if it is not configured.
            expected: The estimate for the call.
            used: The day's usage of each model.
            now: The time.

        Raises:
            BlaxelError: The code is `budget_exceeded`; `retry_after_seconds` lasts until the caps reset.
        """
        refusal = self._refusal(key, model, expected, used)
        if refusal is None:
            return
        resets = next_midnight(now)
        raise BlaxelError(
            f"The call to {key[1]!r} was not sent: {refusal.reason}.",
            code="budget_exceeded",
            hint=f"{refusal.fix or f'The caps reset at {resets:%Y-%m-%d %H:%M} UTC.'} {self._remaining(used)}",
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
            "all": _usage_of(self.caps, _sum(used.values())),
            "model": _usage_of(model.budget, own) if model and model.budget else None,
        }

    def overall(self, used: Mapping[ModelKey, UsageTotals]) -> dict[str, Any]:
        """Return the usage of the caps on all calls together."""
        return _usage_of(self.caps, _sum(used.values()))

    def _refusal(
        self, key: ModelKey, model: ModelSettings | None, expected: Estimate, used: Mapping[ModelKey, UsageTotals]
    ) -> _Refusal | None:
        refusal = _refusal_by(self.caps, None, expected, _sum(used.values()))
        if refusal is None and model and model.budget:
            refusal = _refusal_by(model.budget, model.name, expected, used.get(key, UsageTotals()))
        return refusal

    def _remaining(self, used: Mapping[ModelKey, UsageTotals]) -> str:
        """Return a sentence that lists the models that a small call could still use."""
        keys = [((model.workspace or self.workspace or "", model.name), model) for model in self.models]
        names = [model.name for key, model in keys if self._refusal(key, model, _small_call(model), used) is None]
        listed = names[:_MAX_NAMES]
        if len(names) > _MAX_NAMES:
            listed.append(f"{len(names) - _MAX_NAMES} more in [[models]]")
        if self._refusal(("", ""), None, _small_call(None), used) is None:
            listed.append("any model without an entry in [[models]]")
        return f"Models with budget left: {', '.join(listed)}." if listed else "No model has budget left."


def _small_call(model: ModelSettings | None) -> Estimate:
    price = configured_price(model.price) if model and model.price else None
    return Estimate(input_tokens=1, output_tokens=1, price=price)


def _refusal_by(caps: CapSettings, owner: str | None, expected: Estimate, used: UsageTotals) -> _Refusal | None:
    """Return why a call does not fit some caps; None if it fits.

    Args:
        caps: The caps.
        owner: The model whose own caps these are; None for those of `[budget]`.
        expected: The estimate for the call.
        used: The usage that counts against the caps.
    """
    if caps.calls_per_day is not None and used.calls + 1 > caps.calls_per_day:
        return _Refusal(f"{_setting('calls_per_day', owner)} is used up ({used.calls:,} of {caps.calls_per_day:,})")
    tokens = used.total_tokens + used.held_tokens
    if caps.tokens_per_day is not None and tokens + expected.tokens > caps.tokens_per_day:
        return _Refusal(
            f"it is estimated at {expected.tokens:,} tokens, and {_setting('tokens_per_day', owner)} has "
            f"{max(caps.tokens_per_day - tokens, 0):,} of {caps.tokens_per_day:,} left"
        )
    return _refusal_by_cost(caps, owner, expected, used)


def _refusal_by_cost(caps: CapSettings, owner: str | None, expected: Estimate, used: UsageTotals) -> _Refusal | None:
    if caps.usd_per_day is None or (expected.price is None and caps.unpriced == "allow"):
        return None
    allow = f'set {_setting("unpriced", owner)} to "allow"'
    if expected.price is None:
        return _Refusal(
            f"{_setting('usd_per_day', owner)} is set, and the price of the model is not known",
            fix=f"Set `price` for the model in [[models]], or {allow}.",
        )
    if not expected.is_priced and caps.unpriced == "refuse":
        return _Refusal(
            f"{_setting('usd_per_day', owner)} is set, and the endpoint reports no tokens that could be priced",
            fix=f"To count its calls by an estimate, {allow}.",
        )
    cap, spent, cost = caps.usd_per_day * NANO, used.nano_usd + used.held_nano_usd, expected.nano_usd
    if spent + cost <= cap:
        return None
    return _Refusal(
        f"it is estimated at {_usd(cost)} USD, and {_setting('usd_per_day', owner)} has {_usd(max(cap - spent, 0))} "
        f"of {_usd(cap)} USD left"
    )


def _figures(caps: CapSettings, expected: Estimate, of_model: bool) -> Iterator[Cap]:  # noqa: FBT001 - a field of `Cap`
    if caps.calls_per_day is not None:
        yield Cap("calls", caps.calls_per_day, of_model)
    if caps.tokens_per_day is not None:
        yield Cap("tokens", caps.tokens_per_day, of_model)
    if caps.usd_per_day is not None and (expected.price is not None or caps.unpriced == "refuse"):
        # No call fits below zero.
        fits = expected.is_priced or caps.unpriced == "allow"
        yield Cap("nano_usd", caps.usd_per_day * NANO if fits else -1, of_model)


def _setting(key: str, owner: str | None) -> str:
    return f"budget.{key}" if owner is None else f"{key} of {owner!r}"


def _usage_of(caps: CapSettings, used: UsageTotals) -> dict[str, Any]:
    return {
        "calls": {"used": used.calls, "cap": caps.calls_per_day},
        "tokens": {"used": used.total_tokens + used.held_tokens, "cap": caps.tokens_per_day},
        "usd": {"used": (used.nano_usd + used.held_nano_usd) / NANO, "cap": caps.usd_per_day},
    }


def _sum(totals: Iterable[UsageTotals]) -> UsageTotals:
    return sum(totals, UsageTotals())


def _usd(nano: float) -> str:
    return f"{nano / NANO:.6f}"
