"""The cost of a call, by the configured price or else by the price table of `genai-prices`.

`genai-prices` (the authors of pydantic; its data are inside the package and nothing is downloaded) knows caches,
reasoning, tiers and steps of long contexts. Importing it takes 0.1 s and 5 MB. So only the first call does it of a
model without a configured price whose provider the table knows, while it waits for its answer.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from threading import Thread
from typing import Any

from blaxel_mcp.budget.usage import Usage
from blaxel_mcp.settings.models import Price

_CLAUDE_CACHED, _CLAUDE_WRITTEN, _CLAUDE_WRITTEN_FOR_AN_HOUR = 0.1, 1.25, 2.0
"""Prices of Claude's cache, as multiples of the input's price."""

_PROVIDERS: Mapping[str, str] = {
    **{name: name for name in ("anthropic", "cerebras", "cohere", "deepseek", "groq", "mistral", "openai")},
    **dict.fromkeys(("azure-ai-inference", "azure-marketplace", "azure-openai-service"), "azure"),
    "gemini": "google",
    "perplexity": "perplexity",
    "together": "together",
    "vertexai": "google",
    "xai": "x-ai",
}
"""The table's provider for each runtime type of Blaxel."""

_BEDROCK_PROVIDER = "aws"
_BEDROCK = re.compile(r"(?:(?:us|eu|apac|au|ca|jp|sa|us-gov|global)\.)?[a-z0-9]+\.[a-z]")

_LISTED: Mapping[str, tuple[Usage, int]] = {
    "input": (Usage(input_tokens=1), 1_000_000),
    "output": (Usage(output_tokens=1), 1_000_000),
    "cached_input": (Usage(input_tokens=1, cached_input_tokens=1), 1_000_000),
    "per_minute": (Usage(audio_seconds=60), 1),
    "per_1k_searches": (Usage(searches=1), 1000),
}
"""How a rate of the table is measured: by a usage, and by the number of units that the rate is for."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """The price of one model.

    Attributes:
        usd: Returns the cost of a usage in USD; None if the usage lacks a figure that the cost depends on.
        source: Where the price is from, for the receipt.
        rates: The price as a listing shows it, by the keys of `price` in the settings. From the table, this is the
            price of the first tokens of a plain call; the table has more.
    """

    usd: Callable[[Usage], float | None]
    source: str
    rates: Mapping[str, float]


@cache
def configured_price(price: Price) -> ModelPrice:
    """Return a price from the settings."""
    return ModelPrice(lambda usage: _usd(price, usage), "configured", price.model_dump(exclude_none=True))


@cache
def expect_table_price(runtime_type: str) -> None:
    """Begin to import the price table in a thread, if it may have a price for this type of provider."""
    if runtime_type in _PROVIDERS:
        Thread(target=_load_table, daemon=True, name="price table").start()


@cache
def _load_table() -> date:
    """Import the price table, remove what no price here depends on, and return the day of its newest price in force.

    The table itself has no date. Without the models of other providers and the rules for reading responses, it takes
    1.3 MB instead of 3.2 MB. Threads may run this at the same time.
    """
    from genai_prices import data, types  # noqa: PLC0415 - see the module's docstring

    used = {_BEDROCK_PROVIDER, *_PROVIDERS.values()}
    # A provider may have models of others at their prices.
    used |= {name for each in data.providers if each.id in used for name in each.fallback_model_providers or ()}
    data.providers[:] = [provider for provider in data.providers if provider.id in used]
    for provider in data.providers:
        provider.extractors = None
    models = (model for provider in data.providers for model in provider.models)
    conditions = (each.constraint for model in models if isinstance(model.prices, list) for each in model.prices)
    starts = (each.start_date for each in conditions if isinstance(each, types.StartDateConstraint))
    return max(start for start in starts if start <= datetime.now(UTC).date())


@lru_cache(maxsize=1000)
def table_price(runtime_type: str | None, provider_model: str | None) -> ModelPrice | None:
    """Return the price in the table of `genai-prices`, by the provider's type and own id of a model in its record.

    None if the table does not know the model.
    """
    provider_id = _PROVIDERS.get(runtime_type or "")
    if provider_id is None or not provider_model:
        return None
    # A name may be that of a resource (`models/gemini-2.5-pro`), of a router (`openai/gpt-4o`) or of Amazon Bedrock
    # (`us.anthropic.claude-sonnet-4-5-20250929-v1:0`), whose prices depend on the region.
    last = provider_model.rpartition("/")[2]
    bedrock = [(_BEDROCK_PROVIDER, last)] if _BEDROCK.match(last) else []
    names = [*bedrock, (provider_id, provider_model), (provider_id, last)]
    return next(filter(None, (_price_in_table(*name) for name in names)), None)


def _price_in_table(provider_id: str, name: str) -> ModelPrice | None:
    from genai_prices import __version__, calc_price, types  # noqa: PLC0415 - see the module's docstring

    _load_table()

    def usd(usage: Usage) -> float | None:
        # The table rejects counts whose parts do not add up. Then everything counts as uncached, which costs the most.
        for counts in (_table_usage(usage), _table_usage(replace(usage, cached_input_tokens=0, cached_audio_tokens=0))):
            try:
                context = {"service_tier": usage.tier, "speed": usage.tier} if usage.tier else None
                price = calc_price(types.Usage(**counts), name, provider_id=provider_id, price_context=context)
            except (LookupError, ValueError):
                continue
            return float(price.total_price) or None
        return None

    per_call = usd(Usage())
    costs = {key: (usd(taken), times) for key, (taken, times) in _LISTED.items()}
    rates = {
        key: round((cost - (per_call or 0)) * times, 6)
        for key, (cost, times) in costs.items()
        if cost is not None and cost != per_call
    }
    if per_call:
        rates["per_call"] = per_call
    return ModelPrice(usd, f"genai-prices {__version__}", rates) if rates else None


def listed_price(
    configured: Price | None, runtime_type: str | None, provider_model: str | None, *, table: bool
) -> dict[str, Any]:
    """Return the `price` of a model and its `price_source` as a listing shows them; null if the price is not known.

    The configured price comes first, and then, if the settings allow it, that of `table_price`, whose source names the
    table's version and the day of its newest price in force.
    """
    unconfigured = table_price(runtime_type, provider_model) if table and not configured else None
    price = configured_price(configured) if configured else unconfigured
    source = price and (price.source if configured else f"{price.source}, prices of {_load_table():%Y-%m-%d}")
    return {"price": price and price.rates, "price_source": source}


def _usd(price: Price, usage: Usage) -> float | None:
    """Return the cost of a usage by a configured price; None if nothing that has a price was reported."""
    parts = [price.per_call]
    if price.per_image is not None and usage.images:
        parts.append(price.per_image * usage.images)
    if price.per_minute is not None and usage.audio_seconds is not None:
        parts.append(price.per_minute * usage.audio_seconds / 60)
    if price.per_1k_searches is not None and usage.searches:
        parts.append(price.per_1k_searches * usage.searches / 1000)
    if price.input is not None and price.output is not None and usage.input_tokens is not None:
        parts.append(_token_usd(price, price.input, price.output, usage))
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _token_usd(price: Price, per_input: float, per_output: float, usage: Usage) -> float:
    cached, written, hour = per_input, per_input, per_input
    if usage.claude:
        cached, written, hour = (
            per_input * factor for factor in (_CLAUDE_CACHED, _CLAUDE_WRITTEN, _CLAUDE_WRITTEN_FOR_AN_HOUR)
        )
    if price.cached_input is not None:
        cached = price.cached_input
    if price.cache_write is not None:
        written = hour = price.cache_write
    reasoning = per_output if price.reasoning is None else price.reasoning
    written_briefly = usage.cache_write_tokens - usage.cache_write_1h_tokens
    fresh = max((usage.input_tokens or 0) - usage.cached_input_tokens - usage.cache_write_tokens, 0)
    shown = (usage.output_tokens or 0) - usage.reasoning_tokens
    return (
        fresh * per_input
        + usage.cached_input_tokens * cached
        + written_briefly * written
        + usage.cache_write_1h_tokens * hour
        + shown * per_output
        + usage.reasoning_tokens * reasoning
    ) / 1_000_000


def _table_usage(usage: Usage) -> dict[str, Any]:
    """Return a usage in the table's terms, without the figures that were not reported."""
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "input_audio_tokens": usage.audio_input_tokens,
        "output_audio_tokens": usage.audio_output_tokens,
        "output_image_tokens": usage.image_output_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "audio_seconds": usage.audio_seconds,
        "input_audio_seconds": usage.audio_seconds,
        "web_searches": usage.searches,
        "rerank_searches": usage.searches,
    }
    reported = {name: count for name, count in counts.items() if count}
    if usage.audio_input_tokens and usage.cached_input_tokens:
        reported["cache_audio_read_tokens"] = usage.cached_audio_tokens
    return reported
