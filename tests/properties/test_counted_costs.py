"""What a call is counted at, for any usage that a provider may report."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.budget.prices import configured_price
from blaxel_mcp.budget.usage import read_usage
from blaxel_mcp.settings.models import Price
from tests.properties.examples import tried

MILLION = 1_000_000
PRICE = Price(input=1.0, output=10.0)
COUNT = st.integers(0, MILLION)


@tried(100)
@given(fresh=COUNT, read=COUNT, briefly=COUNT, hour=COUNT, written=COUNT)
def test_a_claude_call_is_counted_at_what_it_costs(
    fresh: int, read: int, briefly: int, hour: int, written: int
) -> None:
    answer = {
        "usage": {
            "input_tokens": fresh,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": briefly + hour,
            "cache_creation": {"ephemeral_5m_input_tokens": briefly, "ephemeral_1h_input_tokens": hour},
            "output_tokens": written,
        }
    }

    check(answer, fresh * 1 + read * 0.1 + briefly * 1.25 + hour * 2 + written * 10)


@tried(100)
@given(prompt=COUNT, tool=COUNT, shown=COUNT, thoughts=COUNT, total=st.booleans())
def test_a_gemini_call_is_counted_at_what_it_costs(
    prompt: int, tool: int, shown: int, thoughts: int, *, total: bool
) -> None:
    counts = {
        "promptTokenCount": prompt,
        "toolUsePromptTokenCount": tool,
        "candidatesTokenCount": shown,
        "thoughtsTokenCount": thoughts,
    }
    answer = {"usageMetadata": {**counts, **({"totalTokenCount": sum(counts.values())} if total else {})}}

    check(answer, prompt + tool + (shown + thoughts) * 10)


@tried(100)
@given(prompt=COUNT, shown=COUNT, reasoning=COUNT, inside=st.booleans())
def test_a_chat_call_is_counted_at_what_it_costs_wherever_the_reasoning_is(
    prompt: int, shown: int, reasoning: int, *, inside: bool
) -> None:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": shown + reasoning if inside else shown,
        "total_tokens": prompt + shown + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }

    check({"usage": usage}, prompt + (shown + reasoning) * 10)


def check(answer: dict[str, Any], true_millionths: float) -> None:
    """The counted cost is between the true one and 1.3 times as much."""
    usage = read_usage(answer)
    assert usage is not None
    counted = configured_price(PRICE).usd(usage)
    assert counted is not None
    assert true_millionths * (1 - 1e-9) <= counted * MILLION <= true_millionths * 1.3 + 1e-9
