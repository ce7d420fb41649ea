"""Token usage from the responses of any provider."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PLACES = ("usage", "usageMetadata", "meta")
_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")

MAX_TOKENS = 1_000_000_000
"""Largest plausible number of tokens of one call. A larger one is ignored: sums of a few would overflow the ledger."""


CHARS_PER_TOKEN = 4
MAX_CHARS_PER_TOKEN = 12
"""More characters for each reported token than any text has, save for rulers and white space."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call; None for a number that the provider did not report.

    Attributes:
        input_tokens: Tokens of the request.
        output_tokens: Tokens of the answer.
        total_tokens: Both together; never less than their sum.
        estimated: Whether these are estimates, because the provider reported none or too few.
    """

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    estimated: bool = False


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
    total = max(total or 0, (input_tokens or 0) + (output_tokens or 0))
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=total)


def plausible_usage(usage: Usage | None, characters: int, *, input_tokens: int) -> Usage:
    """Return the usage that an answer reports or, if that is missing or far below the text of the answer, an estimate.

    Args:
        usage: The usage that the answer reports.
        characters: The length of the text that the model wrote.
        input_tokens: The estimated tokens of the request.
    """
    reported = 0
    if usage is not None:
        # Gemini's output is without its thoughts, the total is with them.
        reported = (usage.total_tokens or 0) - (usage.input_tokens or 0)
        if characters <= reported * MAX_CHARS_PER_TOKEN:
            return usage
        input_tokens = max(input_tokens, usage.input_tokens or 0)
    output_tokens = max(reported, math.ceil(characters / CHARS_PER_TOKEN))
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=max(input_tokens + output_tokens, (usage and usage.total_tokens) or 0),
        estimated=True,
    )


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
