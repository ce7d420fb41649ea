"""Token usage in every provider's format, and its cost."""

from typing import Any

import pytest

from blaxel_mcp.budget.usage import Usage, cost_usd, read_usage


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        pytest.param(
            {"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}, Usage(3, 5, 8), id="OpenAI"
        ),
        pytest.param({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, None, 3), id="OpenAI embeddings"),
        pytest.param({"usage": {"input_tokens": 3, "output_tokens": 5}}, Usage(3, 5, 8), id="Anthropic"),
        pytest.param(
            {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 9}},
            Usage(3, 5, 9),
            id="Gemini",
        ),
        pytest.param(
            {"usage": {"billed_units": {"input_tokens": 1, "output_tokens": 1}, "tokens": {"input_tokens": 3.0}}},
            Usage(3, None, 3),
            id="Cohere, tokens before billed units",
        ),
        pytest.param({"meta": {"billed_units": {"input_tokens": 2}}}, Usage(2, None, 2), id="Cohere rerank"),
        pytest.param({"usage": None}, None, id="null"),
        pytest.param({"usage": {"prompt_tokens": "3"}}, None, id="not a number"),
        pytest.param({"usage": {"prompt_tokens": True}}, None, id="a boolean"),
        pytest.param({"usage": {"prompt_tokens": -1}}, None, id="negative"),
        pytest.param([1], None, id="not an object"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_usage_is_read_in_every_known_format(answer: Any, usage: Usage | None) -> None:
    assert read_usage(answer) == usage


def test_cost_is_tokens_by_the_price_per_million() -> None:
    assert cost_usd(Usage(1_000_000, 500_000, None), input_price=0.15, output_price=0.60) == pytest.approx(0.45)


def test_cost_is_unknown_without_token_counts() -> None:
    assert cost_usd(None, input_price=1, output_price=1) is None
    assert cost_usd(Usage(None, 5, 5), input_price=1, output_price=1) is None
