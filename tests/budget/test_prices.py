"""What a call costs: never less than the provider takes, and at most a little more."""

from typing import Any

import pytest
from pydantic import ValidationError

from blaxel_mcp.budget.prices import configured_price, table_price
from blaxel_mcp.budget.usage import Usage
from blaxel_mcp.settings.models import Price

PRICE = {"input": 1.0, "output": 10.0}
MILLION = 1_000_000


def cost(price: dict[str, float], **usage: Any) -> float | None:
    return configured_price(Price(**price)).usd(Usage(**usage))


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        pytest.param(PRICE, {"input_tokens": MILLION, "output_tokens": MILLION}, 11, id="tokens"),
        pytest.param(PRICE, {"input_tokens": MILLION, "cached_input_tokens": MILLION}, 1, id="a cache without a price"),
        pytest.param(
            {**PRICE, "cached_input": 0.25}, {"input_tokens": MILLION, "cached_input_tokens": MILLION}, 0.25, id="cache"
        ),
        pytest.param(
            PRICE, {"input_tokens": MILLION, "cached_input_tokens": MILLION, "claude": True}, 0.1, id="Claude's cache"
        ),
        pytest.param(
            PRICE, {"input_tokens": MILLION, "cache_write_tokens": MILLION, "claude": True}, 1.25, id="Claude's writes"
        ),
        pytest.param(
            PRICE,
            {
                "input_tokens": MILLION,
                "cache_write_tokens": MILLION,
                "cache_write_1h_tokens": MILLION,
                "claude": True,
            },
            2,
            id="Claude's writes for an hour",
        ),
        pytest.param(
            {**PRICE, "cache_write": 3},
            {"input_tokens": MILLION, "cache_write_tokens": MILLION, "claude": True},
            3,
            id="a price of writes",
        ),
        pytest.param(
            {**PRICE, "reasoning": 2},
            {"input_tokens": 0, "output_tokens": 2 * MILLION, "reasoning_tokens": MILLION},
            12,
            id="reasoning",
        ),
        pytest.param({"per_call": 0.5}, {}, 0.5, id="per call"),
        pytest.param({"per_image": 0.04}, {"images": 2}, 0.08, id="per picture"),
        pytest.param({"per_minute": 0.006}, {"audio_seconds": 90}, 0.009, id="per minute"),
        pytest.param({"per_1k_searches": 10}, {"searches": 3}, 0.03, id="per thousand searches"),
        pytest.param(PRICE, {}, None, id="no tokens"),
        pytest.param({"per_image": 0.04}, {"input_tokens": 3}, None, id="no pictures"),
    ],
)
def test_a_configured_price_counts_what_it_names(
    price: dict[str, float], usage: dict[str, Any], expected: float | None
) -> None:
    assert cost(price, **usage) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("price", "message"),
    [
        pytest.param({}, "is empty", id="empty"),
        pytest.param({"input": 1}, "has one of `input` and `output`", id="half"),
        pytest.param({"cached_input": 1}, "has prices of parts", id="a part of nothing"),
        pytest.param({"per_call": -1}, "greater than or equal to 0", id="negative"),
        pytest.param({"per_call": float("nan")}, "less than or equal to 1000000", id="no number"),
        pytest.param({"per_call": 1e7}, "less than or equal to 1000000", id="more than a ledger can add up"),
        pytest.param({"input": float("inf"), "output": 1}, "less than or equal to 1000000", id="infinite"),
    ],
)
def test_a_price_that_cannot_be_counted_is_rejected(price: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Price(**price)


@pytest.mark.parametrize(
    ("runtime_type", "model", "usage", "expected"),
    [
        pytest.param(
            "openai", "gpt-4o-mini", {"input_tokens": 1000, "cached_input_tokens": 500}, 0.0001125, id="cache"
        ),
        pytest.param(
            "anthropic",
            "claude-sonnet-4-5",
            {"input_tokens": 52_003, "output_tokens": 7, "cached_input_tokens": 50_000, "cache_write_tokens": 2000},
            0.022614,
            id="Claude's cache",
        ),
        pytest.param(
            "anthropic",
            "claude-sonnet-4-5",
            {"input_tokens": 2000, "cache_write_tokens": 2000, "cache_write_1h_tokens": 2000},
            0.012,
            id="Claude's cache for an hour",
        ),
        pytest.param(
            "gemini", "gemini-2.5-pro", {"input_tokens": 300_000, "output_tokens": 400}, 0.756, id="a long context"
        ),
        pytest.param(
            "gemini",
            "gemini-2.5-flash-image",
            {"input_tokens": 1000, "output_tokens": 1300, "image_output_tokens": 1290},
            0.039025,
            id="pictures are dearer than words",
        ),
        pytest.param(
            "openai",
            "gpt-4o-transcribe",
            {"input_tokens": 1000, "output_tokens": 100, "audio_input_tokens": 900},
            0.00665,
            id="audio is dearer than words",
        ),
        pytest.param("openai", "whisper-1", {"audio_seconds": 60}, 0.006, id="by the minute"),
        pytest.param("openai", "text-embedding-3-small", {"input_tokens": MILLION}, 0.02, id="embeddings"),
    ],
)
def test_the_table_knows_what_providers_take(
    runtime_type: str, model: str, usage: dict[str, Any], expected: float
) -> None:
    price = table_price(runtime_type, model)

    assert price is not None
    assert price.source.startswith("genai-prices ")
    assert price.usd(Usage(**usage)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("runtime_type", "model", "same"),
    [
        ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("gemini", "models/gemini-2.5-pro", ("gemini", "gemini-2.5-pro")),
        ("vertexai", "publishers/google/models/gemini-2.5-pro", ("vertexai", "gemini-2.5-pro")),
        ("xai", "x-ai/grok-3", ("xai", "grok-3")),
        ("azure-openai-service", "azure/gpt-4o", ("azure-openai-service", "gpt-4o")),
        ("mistral", "mistralai/mistral-small-2506", ("mistral", "mistral-small-2506")),
        ("anthropic", "anthropic.claude-3-haiku-20240307-v1:0", ("anthropic", "claude-3-haiku-20240307")),
    ],
)
def test_a_name_with_the_prefix_of_a_router_or_a_cloud_has_the_price_of_the_model(
    runtime_type: str, model: str, same: tuple[str, str]
) -> None:
    usage = Usage(input_tokens=1000, output_tokens=1000)
    price, expected = table_price(runtime_type, model), table_price(*same)

    assert price is not None
    assert expected is not None
    assert price.usd(usage) == expected.usd(usage)


@pytest.mark.parametrize("prefix", ["", "arn:aws:bedrock:us-east-1:1:inference-profile/"])
def test_a_model_at_bedrock_has_the_price_of_its_region(prefix: str) -> None:
    price = table_price("anthropic", f"{prefix}us.anthropic.claude-sonnet-4-5-20250929-v1:0")

    assert price is not None
    assert price.usd(Usage(input_tokens=1000)) == pytest.approx(0.0033)


def test_a_price_for_each_call_is_listed_by_itself() -> None:
    price = table_price("perplexity", "sonar-pro")

    assert price is not None
    assert price.rates == {"input": 3.0, "output": 15.0, "cached_input": 3.0, "per_call": 0.014}
    assert price.usd(Usage(input_tokens=1000, output_tokens=1000)) == pytest.approx(0.014 + 0.018)


@pytest.mark.parametrize(
    ("runtime_type", "model"),
    [("openai", "house-model"), ("hf_private_endpoint", "gpt-4o"), (None, "gpt-4o"), ("openai", None)],
)
def test_what_the_table_does_not_know_has_no_price(runtime_type: str | None, model: str | None) -> None:
    assert table_price(runtime_type, model) is None


def test_counts_that_do_not_add_up_cost_as_if_nothing_came_from_a_cache() -> None:
    price = table_price("gemini", "gemini-2.5-flash")
    assert price is not None

    odd = price.usd(
        Usage(input_tokens=100, cached_input_tokens=90, audio_input_tokens=90, cached_audio_tokens=0, output_tokens=1)
    )
    whole = price.usd(Usage(input_tokens=100, audio_input_tokens=90, output_tokens=1))

    assert odd == whole
