"""Caps on a day's calls, tokens and money: whether one more call fits, and what to say when it does not.

Decisions alone; `spending` takes the figures from the ledger and the clock.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from blaxel_mcp.budget.figures import NANO, ModelKey, UsageTotals
from blaxel_mcp.budget.usage import MOST_TOKENS
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.schema import CapSettings, ModelSettings, Price

OUTPUT_TOKENS = 1000
"""What a call that does not limit its output is expected to bring, in tokens."""

_CHARACTERS_A_TOKEN = 4
_MEDIUM_TOKENS = 1000
_LONGEST_TEXT = 2000
"""A word longer than this, in characters, is no text but base64 of something."""

_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a call is expected to take, in tokens."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens

    def nano_usd(self, price: Price | None) -> int:
        """What that costs, in billionths of a dollar; nothing where there is no price."""
        return usd_to_nano(price, self.input_tokens, self.output_tokens) if price else 0


def usd_to_nano(price: Price, input_tokens: int, output_tokens: int) -> int:
    """What tokens cost, in billionths of a dollar, rounded up."""
    return math.ceil((input_tokens * price.input + output_tokens * price.output) * (NANO / 1_000_000) - 1e-6)


def estimate(body: Any, *, writes: bool) -> Estimate:
    """What a call with this body is expected to take.

    Args:
        body: The request's, as JSON values.
        writes: Whether the model writes text, which its body may limit.
    """
    return Estimate(input_tokens=_tokens(body), output_tokens=_output_limit(body) if writes else 0)


def next_midnight(now: datetime) -> datetime:
    """When the day of caps ends: at midnight UTC."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def day_of(now: datetime) -> str:
    """The day of caps, as `2026-11-24`."""
    return now.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """All caps of a server.

    Attributes:
        caps: Those on all calls together.
        models: The configured models, which may have a price and caps of their own.
        workspace: That of the models which name none.
    """

    caps: CapSettings
    models: tuple[ModelSettings, ...] = ()
    workspace: str | None = None

    def capped(self, model: ModelSettings | None) -> bool:
        """Whether any cap holds for the calls of a model."""
        return any(_has_cap(caps) for caps in self._caps_of(model))

    def on_ledger_failure(self, model: ModelSettings | None) -> str:
        """What the settings say of a ledger that cannot be used: the stricter word of those that hold a cap."""
        said = {caps.on_ledger_failure for caps in self._caps_of(model) if _has_cap(caps)}
        return "refuse" if "refuse" in said else "allow"

    def check(
        self,
        key: ModelKey,
        model: ModelSettings | None,
        expected: Estimate,
        used: Mapping[ModelKey, UsageTotals],
        now: datetime,
    ) -> None:
        """Let a call pass, or refuse it.

        Args:
            key: The model's workspace and name.
            model: Its settings, if it is configured.
            expected: What the call is expected to take.
            used: What each model has used of the day.
            now: The time.

        Raises:
            BlaxelError: `budget_exceeded`.
        """
        problem = self._problem(key, model, expected, used)
        if problem is None:
            return
        resets = next_midnight(now)
        raise BlaxelError(
            f"The call of {key[1]!r} was not sent: {problem}",
            code="budget_exceeded",
            origin="local",
            hint=f"Days begin at midnight UTC: the next one at {resets:%Y-%m-%dT%H:%MZ}. {self._others(used)}",
            retryable=True,
            retry_after_seconds=math.ceil((resets - now).total_seconds()),
        )

    def report(
        self, key: ModelKey, model: ModelSettings | None, used: Mapping[ModelKey, UsageTotals], now: datetime
    ) -> Any:
        """The caps and what is used of them, for a receipt; None where no cap holds."""
        if not self.capped(model):
            return None
        own = used.get(key, UsageTotals())
        return {
            "day": day_of(now),
            "resets_at": next_midnight(now).isoformat(timespec="seconds"),
            "all": _state(self.caps, _sum(used.values())),
            "model": _state(model.budget, own) if model and model.budget else None,
        }

    def overall(self, used: Mapping[ModelKey, UsageTotals]) -> dict[str, Any]:
        """What is used of the caps on all calls together."""
        return _state(self.caps, _sum(used.values()))

    def _caps_of(self, model: ModelSettings | None) -> tuple[CapSettings, ...]:
        return (self.caps, model.budget) if model and model.budget else (self.caps,)

    def _problem(
        self, key: ModelKey, model: ModelSettings | None, expected: Estimate, used: Mapping[ModelKey, UsageTotals]
    ) -> str | None:
        price = model.price if model else None
        problem = _over(self.caps, "", price, expected, _sum(used.values()))
        if problem is None and model and model.budget:
            problem = _over(model.budget, f" for {key[1]!r}", price, expected, used.get(key, UsageTotals()))
        return problem

    def _others(self, used: Mapping[ModelKey, UsageTotals]) -> str:
        """Say of which models a small call would pass now; those that were found have no caps of their own."""
        small = Estimate(input_tokens=1, output_tokens=1)
        keys = [((model.workspace or self.workspace or "", model.name), model) for model in self.models]
        allowed = [model.name for key, model in keys if self._problem(key, model, small, used) is None]
        return _others(allowed, found=_over(self.caps, "", None, small, _sum(used.values())) is None)


def _over(caps: CapSettings, whose: str, price: Price | None, expected: Estimate, used: UsageTotals) -> str | None:
    if caps.calls_per_day is not None and used.calls + 1 > caps.calls_per_day:
        return f"{used.calls:,} of the {caps.calls_per_day:,} calls a day{whose} are used."
    tokens = used.total_tokens + used.held_tokens
    if caps.tokens_per_day is not None and tokens + expected.tokens > caps.tokens_per_day:
        return (
            f"{tokens:,} of the {caps.tokens_per_day:,} tokens a day{whose} are used or reserved, and it is expected "
            f"to take {expected.tokens:,}."
        )
    if caps.usd_per_day is None:
        return None
    if price is None:
        return (
            None
            if caps.unpriced == "allow"
            else (
                f"there is a cap of {caps.usd_per_day:g} USD a day{whose}, and the model has no `price`. Give it "
                'one, or set `unpriced = "allow"` in [budget].'
            )
        )
    spent, more = used.nano_usd + used.held_nano_usd, expected.nano_usd(price)
    if spent + more > caps.usd_per_day * NANO:
        return (
            f"{_usd(spent)} of the {caps.usd_per_day:g} USD a day{whose} are used or reserved, and it is expected to "
            f"cost {_usd(more)}."
        )
    return None


def _others(allowed: list[str], *, found: bool) -> str:
    """Say what may still be called.

    Args:
        allowed: The names of configured models.
        found: Whether a model that is not configured may be called too.
    """
    named = allowed[:_MOST_NAMED]
    if len(allowed) > _MOST_NAMED:
        named.append(f"{len(allowed) - _MOST_NAMED} more of [[models]]")
    if found:
        named.append("any model that has no entry in [[models]]")
    if not named:
        return "Until then no configured model has anything left."
    return f"Until then these may still be called: {', '.join(named)}."


def _state(caps: CapSettings, used: UsageTotals) -> dict[str, Any]:
    return {
        "calls": {"used": used.calls, "cap": caps.calls_per_day},
        "tokens": {"used": used.total_tokens + used.held_tokens, "cap": caps.tokens_per_day},
        "usd": {"used": (used.nano_usd + used.held_nano_usd) / NANO, "cap": caps.usd_per_day},
    }


def _has_cap(caps: CapSettings) -> bool:
    return (caps.calls_per_day, caps.tokens_per_day, caps.usd_per_day) != (None, None, None)


def _sum(figures: Iterable[UsageTotals]) -> UsageTotals:
    return sum(figures, UsageTotals())


def _usd(nano: int) -> str:
    return f"{nano / NANO:.6f}".rstrip("0").rstrip(".")


def _tokens(value: Any) -> int:
    return math.ceil(_characters(value) / _CHARACTERS_A_TOKEN)


def _characters(value: Any) -> int:
    """Characters of text in a body; a picture or a recording among them counts as one medium, whatever its size."""
    total, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            left += item.values()
            total += sum(map(len, item))
        elif isinstance(item, list):
            left += item
        elif isinstance(item, bytes) or (isinstance(item, str) and _is_medium(item)):
            total += _MEDIUM_TOKENS * _CHARACTERS_A_TOKEN
        else:
            total += len(item) if isinstance(item, str) else 1
    return total


def _is_medium(text: str) -> bool:
    return len(text) > _LONGEST_TEXT and " " not in text[:_LONGEST_TEXT] and text[:_LONGEST_TEXT].isascii()


def _output_limit(body: Any) -> int:
    if not isinstance(body, Mapping):
        return OUTPUT_TOKENS
    config = body.get("generationConfig")
    for level in (body, config if isinstance(config, Mapping) else {}):
        for name in _OUTPUT_LIMITS:
            limit = level.get(name)
            if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
                return min(limit, MOST_TOKENS)
    return OUTPUT_TOKENS
