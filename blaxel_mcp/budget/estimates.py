"""Estimates the tokens and the cost of a call from its request body, and counts a call when it has ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from blaxel_mcp.budget.figures import NANO, UsageTotals
from blaxel_mcp.budget.prices import ModelPrice
from blaxel_mcp.budget.usage import CHARS_PER_TOKEN, MAX_TOKENS, Usage
from blaxel_mcp.core.field_names import ANSWERS, BATCHES, DATA, MAX_OUTPUT, fold

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
_JSON = (str, int, float, list, Mapping, type(None))
"""Types of the values in a body; all others are files."""

_MAX_USD = 1_000_000.0
"""Largest cost that one call counts: sums of larger ones would overflow the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The expected usage of a call.

    Attributes:
        images: Pictures in the answer, if the model draws.
        audio_seconds: Seconds of audio in the request; None if it has none.
        searches: Searches, if the model is asked for them.
        metered: Whether the endpoint can report the tokens. If it cannot, their cost is unknown.
        price: The price of the model; None if it is not known.
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
        """Whether the cost will be known from the usage that the endpoint reports."""
        if self.price is None or self.metered:
            return self.price is not None
        beside = Usage(images=self.images, audio_seconds=self.audio_seconds, searches=self.searches)
        return self.price.usd(beside) is not None


def usd_to_nano(usd: float) -> int:
    """Return dollars in billionths of a dollar, rounded up."""
    return math.ceil(min(usd, _MAX_USD) * NANO - 1e-6)


def answered_totals(expected: Estimate, usage: Usage | None, cost_usd: float | None) -> UsageTotals:
    """Return the totals of an answered call; what it does not report counts by the estimate."""
    reported = None if usage is None or usage.estimated else usage
    tokens = reported and reported.total_tokens
    known = cost_usd is not None and not (usage and usage.estimated)
    if tokens is None or not known:
        expected = expected.at_least(usage)
    return UsageTotals(
        calls=1,
        without_tokens=tokens is None,
        without_price=not known,
        input_tokens=(reported and reported.input_tokens) or 0,
        output_tokens=(reported and reported.output_tokens) or 0,
        total_tokens=tokens or 0,
        nano_usd=usd_to_nano(cost_usd or 0) if known else 0,
        held_tokens=expected.tokens if tokens is None else 0,
        held_nano_usd=0 if known else expected.nano_usd,
    )


def failed_totals(expected: Estimate, *, maybe_billed: bool) -> UsageTotals:
    """Return the totals of a failed call: its estimate if it may have been billed."""
    if not maybe_billed:
        return UsageTotals(calls=1, failed=1)
    return UsageTotals(
        calls=1, failed=1, failed_maybe_billed=1, held_tokens=expected.tokens, held_nano_usd=expected.nano_usd
    )


def estimate(body: Any, *, writes: bool, metered: bool = True) -> Estimate:
    """Estimate the usage of a call from its request body, as JSON values and files.

    The body may limit how much a model that writes text writes. `metered` is whether the endpoint can report the
    tokens.
    """
    fields = body if isinstance(body, Mapping) else {}
    output_tokens, answers = _output_limit(body)
    if not metered:
        output_tokens = max(output_tokens, UNKNOWN_WORK_TOKENS)
    return Estimate(
        input_tokens=math.ceil(_count_chars(body) / CHARS_PER_TOKEN),
        output_tokens=output_tokens if writes else 0,
        images=min(answers, _MAX_PICTURES),
        audio_seconds=None if all(isinstance(value, _JSON) for value in fields.values()) else _SECONDS_PER_RECORDING,
        searches=1 if "query" in fields and "documents" in fields else 0,
        metered=metered,
    )


def _count_chars(body: Any) -> int:
    """Return the characters of text in a body; an image or recording of any size counts as one medium."""
    total, pending = 0, [body]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += value.values()
            total += sum(map(len, value))
        elif isinstance(value, list):
            pending += value
        elif not isinstance(value, _JSON) or (
            isinstance(value, str) and len(value) > MAX_WORD_CHARS and is_base64(value)
        ):
            total += _TOKENS_PER_MEDIUM * CHARS_PER_TOKEN
        else:
            total += len(value) if isinstance(value, str) else 1
    return total


def is_base64(text: str) -> bool:
    """Return whether text is probably an encoded medium: its first word is longer than any in a language."""
    return len(text) > MAX_WORD_CHARS and " " not in text[:MAX_WORD_CHARS] and text[:MAX_WORD_CHARS].isascii()


def _output_limit(body: Any) -> tuple[int, int]:
    """Return the output tokens and the answers that a body allows, in the fields of any API and at any depth."""
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
                    largest = max(largest, sum(_output_limit(each)[0] for each in item))
                elif isinstance(item, list | Mapping) and folded not in DATA:
                    pending.append(item)
    return min((largest or DEFAULT_OUTPUT_TOKENS) * answers, MAX_TOKENS), answers


def _whole_number(value: Any) -> int:
    """Return a limit as providers read it, from a number or a number in text; 0 for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(min(value, MAX_TOKENS)) if is_number and value > 0 else 0
