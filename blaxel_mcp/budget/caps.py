"""Decides whether one more call fits the caps per day on calls, tokens and cost, and words the refusal if not.

These are pure decisions: `inference.spending` supplies what was used, from the ledger, and the time.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from blaxel_mcp.budget.figures import NANO, Cap, ModelKey, UsageTotals
from blaxel_mcp.budget.prices import ModelPrice, configured_price
from blaxel_mcp.budget.usage import CHARS_PER_TOKEN, MAX_TOKENS, Usage
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.field_names import ANSWERS, BATCHES, DATA, MAX_OUTPUT, fold
from blaxel_mcp.settings.schema import CapSettings, ModelSettings

DEFAULT_OUTPUT_TOKENS = 1000
"""Estimated output of a call that does not limit its output."""

_TOKENS_PER_MEDIUM = 1000
MAX_WORD_CHARS = 2000
"""A longer word is not text but base64."""

UNKNOWN_WORK_TOKENS = 100_000
"""Estimated output of a call whose work is not in its body, such as a batch of requests in a file."""

_OUTPUT_LIMITS = MAX_OUTPUT | {"budgettokens", "thinkingbudget"}
_MAX_DIGITS = 20
_SECONDS_PER_RECORDING = 60
_MAX_PICTURES = 1000
_NO_CAPS = (None, None, None)
_MAX_NAMES = 5
"""Configured models that a refusal lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a call is expected to use.

    Attributes:
        input_tokens: Tokens of the request.
        output_tokens: Tokens of the answer.
        images: Pictures in the answer, if the model draws.
        audio_seconds: Seconds of audio in the request; None if it has none.
        searches: Searches, if the model is asked for them.
        metered: Whether the endpoint can report the tokens; without, its tokens have no cost that could be counted.
        price: The price of the model; None if nobody knows it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 1
    audio_seconds: float | None = None
    searches: int = 0
    metered: bool = True
    price: ModelPrice | None = None

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def at_least(self, usage: Usage | None) -> "Estimate":
        """Return this estimate, raised to the usage that is known."""
        if usage is None:
            return self
        return replace(
            self,
            input_tokens=max(self.input_tokens, usage.input_tokens or 0),
            output_tokens=max(self.output_tokens, usage.output_tokens or 0),
        )

    @property
    def nano_usd(self) -> int:
        """The estimated cost in billionths of a dollar; 0 without a price."""
        if self.price is None:
            return 0
        usage = Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            images=self.images,
            audio_seconds=self.audio_seconds,
            searches=self.searches,
        )
        return usd_to_nano(self.price.usd(usage) or 0)

    @property
    def is_priced(self) -> bool:
        """Whether what the endpoint reports will tell the cost."""
        if self.price is None or self.metered:
            return self.price is not None
        beside = Usage(images=self.images, audio_seconds=self.audio_seconds, searches=self.searches)
        return self.price.usd(beside) is not None


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a call does not fit a cap.

    Attributes:
        reason: The end of the error message.
        fix: A sentence on what allows the call; empty if only the next day does.
    """

    reason: str
    fix: str = ""


def usd_to_nano(usd: float) -> int:
    """Return dollars in billionths of a dollar, rounded up."""
    return math.ceil(usd * NANO - 1e-6)


def estimate(body: Any, *, writes: bool, metered: bool = True) -> Estimate:
    """Estimate the tokens of a call from its request body.

    Args:
        body: The body as JSON values.
        writes: Whether the model writes text; the body may limit how much.
        metered: Whether the endpoint can report the tokens.
    """
    fields = body if isinstance(body, Mapping) else {}
    output_tokens = _output_limit(body) if writes else 0
    if writes and not metered:
        output_tokens = max(output_tokens, UNKNOWN_WORK_TOKENS)
    return Estimate(
        input_tokens=math.ceil(_count_chars(body) / CHARS_PER_TOKEN),
        output_tokens=output_tokens,
        images=min(_whole_number(fields["n"]), _MAX_PICTURES) if "n" in fields else 1,
        audio_seconds=_SECONDS_PER_RECORDING if any(isinstance(value, bytes) for value in fields.values()) else None,
        searches=1 if "query" in fields and "documents" in fields else 0,
        metered=metered,
    )


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
        """Return above which estimate in USD a person is asked, by the model's own setting first; None for never."""
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
            origin="local",
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
        """Return a sentence that lists the models of which a small call would fit now."""
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


def _count_chars(body: Any) -> int:
    """Return the characters of text in a body; an image or recording counts as one medium, whatever its size."""
    total, pending = 0, [body]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += value.values()
            total += sum(map(len, value))
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, bytes) or (isinstance(value, str) and len(value) > MAX_WORD_CHARS and is_base64(value)):
            total += _TOKENS_PER_MEDIUM * CHARS_PER_TOKEN
        else:
            total += len(value) if isinstance(value, str) else 1
    return total


def is_base64(text: str) -> bool:
    """Return whether text is probably an encoded medium: it begins with a word that no language has."""
    return len(text) > MAX_WORD_CHARS and " " not in text[:MAX_WORD_CHARS] and text[:MAX_WORD_CHARS].isascii()


def _output_limit(body: Any) -> int:
    """Return the most tokens that a body lets the model write, in the fields of any API and at any depth."""
    largest, answers, pending = 0, 1, [body]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, Mapping):
            for name, item in value.items():
                folded = fold(name)
                if folded in _OUTPUT_LIMITS:
                    largest = max(largest, _whole_number(item))
                elif folded in ANSWERS:
                    answers = max(answers, _whole_number(item))
                elif folded in BATCHES and isinstance(item, list):
                    largest = max(largest, sum(map(_output_limit, item)))
                elif isinstance(item, list | Mapping) and folded not in DATA:
                    pending.append(item)
    return min((largest or DEFAULT_OUTPUT_TOKENS) * answers, MAX_TOKENS)


def _whole_number(value: Any) -> int:
    """Return a limit as providers read it, of a number or a number in text; 0 if it is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(min(value, MAX_TOKENS)) if is_number and value > 0 else 0
