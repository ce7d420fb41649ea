"""Token usage from the responses of any provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PLACES = ("usage", "usageMetadata", "meta")
_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")

MAX_TOKENS = 1_000_000_000
"""Largest plausible number of tokens of one call. A larger one is ignored: sums of a few would overflow the ledger."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call; None for a number that the provider did not report."""

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None


def read_usage(answer: Any) -> Usage | None:
    """Return the token usage that an answer reports; None if it reports none.

    Understands the fields of OpenAI (`usage.prompt_tokens`), Anthropic (`usage.input_tokens`), Gemini
    (`usageMetadata.promptTokenCount`) and Cohere (`usage.tokens`, `usage.billed_units`).

    Args:
        answer: The response body as JSON values.
    """
    if not isinstance(answer, Mapping):
        return None
    for place in _PLACES:
        counts = answer.get(place)
        if isinstance(counts, Mapping):
            for candidate in (counts, counts.get("tokens"), counts.get("billed_units")):
                if isinstance(candidate, Mapping) and (usage := _usage_from(candidate)):
                    return usage
    return None


def _usage_from(counts: Mapping[str, Any]) -> Usage | None:
    input_tokens, output_tokens = _first_count(counts, _INPUT), _first_count(counts, _OUTPUT)
    total = _first_count(counts, _TOTAL)
    if input_tokens is None and output_tokens is None and total is None:
        return None
    if total is None:
        total = (input_tokens or 0) + (output_tokens or 0)
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=total)


def _first_count(counts: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
            return int(value)
    return None


def cost_usd(usage: Usage | None, *, input_price: float, output_price: float) -> float | None:
    """Return the cost of a call in USD; None if its usage is not known.

    Args:
        usage: The tokens of the call.
        input_price: USD per million input tokens.
        output_price: USD per million output tokens.
    """
    if usage is None or usage.input_tokens is None:
        return None
    return (usage.input_tokens * input_price + (usage.output_tokens or 0) * output_price) / 1_000_000
