"""How many tokens an answer says it took, whoever's format it is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PLACES = ("usage", "usageMetadata", "meta")
_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")

MOST_TOKENS = 1_000_000_000
"""More than any call takes. A figure beyond it is a mistake, and sums of some would not fit the ledger."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, each figure where the provider gave it."""

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None


def read_usage(answer: Any) -> Usage | None:
    """The tokens that an answer reports, or None where it reports none.

    Reads the names of OpenAI (`usage.prompt_tokens`), Anthropic (`usage.input_tokens`),
    Gemini (`usageMetadata.promptTokenCount`) and Cohere (`usage.tokens`, `usage.billed_units`).
    """
    if not isinstance(answer, Mapping):
        return None
    for place in _PLACES:
        counts = answer.get(place)
        if isinstance(counts, Mapping):
            for candidate in (counts, counts.get("tokens"), counts.get("billed_units")):
                if isinstance(candidate, Mapping) and (usage := _from_counts(candidate)):
                    return usage
    return None


def _from_counts(counts: Mapping[str, Any]) -> Usage | None:
    taken, given = _first_count(counts, _INPUT), _first_count(counts, _OUTPUT)
    total = _first_count(counts, _TOTAL)
    if taken is None and given is None and total is None:
        return None
    if total is None:
        total = (taken or 0) + (given or 0)
    return Usage(input_tokens=taken, output_tokens=given, total_tokens=total)


def _first_count(counts: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return int(value)
    return None


def cost_usd(usage: Usage | None, *, input_price: float, output_price: float) -> float | None:
    """What the tokens cost at prices in USD per million, or None where they are not known."""
    if usage is None or usage.input_tokens is None:
        return None
    return (usage.input_tokens * input_price + (usage.output_tokens or 0) * output_price) / 1_000_000
