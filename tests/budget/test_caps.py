"""Caps: which calls fit, and the messages for those that do not."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from blaxel_mcp.apis.base import FileData
from blaxel_mcp.budget.caps import Budget, next_midnight
from blaxel_mcp.budget.estimates import DEFAULT_OUTPUT_TOKENS, Estimate, estimate, usd_to_nano
from blaxel_mcp.budget.figures import NANO, UsageTotals
from blaxel_mcp.budget.prices import configured_price
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.limits import CapSettings
from blaxel_mcp.settings.models import ModelSettings, Price

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CALL = Estimate(input_tokens=100, output_tokens=900)
CHEAP = ModelSettings(name="cheap", price=Price(input=1, output=1))
PLAIN = ModelSettings(name="plain")
OWN = ModelSettings(
    name="own", price=Price(input=1, output=1), budget=CapSettings(calls_per_day=2, tokens_per_day=3000, usd_per_day=1)
)


def refusal(caps: dict[str, Any], model: ModelSettings, used: UsageTotals, call: Estimate = CALL) -> BlaxelError | None:
    """Return the error for one more call of a model, if any; all usage is this model's."""
    budget = Budget(caps=CapSettings(**caps), models=(CHEAP, PLAIN, OWN), workspace="acme")
    key = ("acme", model.name)
    try:
        price = configured_price(model.price) if model.price else None
        budget.check(key, model, replace(call, price=price), {key: used}, NOON)
    except BlaxelError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("caps", "model", "used", "fits"),
    [
        pytest.param({}, PLAIN, UsageTotals(calls=10**9), True, id="no cap"),
        pytest.param({"calls_per_day": 10}, PLAIN, UsageTotals(calls=9), True, id="the last call"),
        pytest.param({"calls_per_day": 10}, PLAIN, UsageTotals(calls=10), False, id="one call more"),
        pytest.param({"tokens_per_day": 5000}, PLAIN, UsageTotals(total_tokens=4000), True, id="the last tokens"),
        pytest.param({"tokens_per_day": 5000}, PLAIN, UsageTotals(total_tokens=4001), False, id="one token more"),
        pytest.param(
            {"tokens_per_day": 5000}, PLAIN, UsageTotals(held_tokens=4001), False, id="tokens in flight count"
        ),
        pytest.param({"usd_per_day": 0.001}, CHEAP, UsageTotals(), True, id="the last tenth of a cent"),
        pytest.param({"usd_per_day": 0.001}, CHEAP, UsageTotals(nano_usd=1), False, id="a billionth more"),
        pytest.param({"usd_per_day": 1}, PLAIN, UsageTotals(), False, id="no price"),
        pytest.param({"usd_per_day": 1, "unpriced": "allow"}, PLAIN, UsageTotals(), True, id="no price, allowed"),
        pytest.param(
            {"usd_per_day": 1, "unpriced": "allow", "calls_per_day": 1},
            PLAIN,
            UsageTotals(calls=1),
            False,
            id="no price, yet a call",
        ),
        pytest.param({}, OWN, UsageTotals(calls=1), True, id="the model's own last call"),
        pytest.param({}, OWN, UsageTotals(calls=2), False, id="past the model's own calls"),
        pytest.param({}, OWN, UsageTotals(total_tokens=2500), False, id="past the model's own tokens"),
        pytest.param({}, OWN, UsageTotals(nano_usd=NANO), False, id="past the model's own money"),
    ],
)
def test_a_call_passes_up_to_the_cap_and_no_further(
    caps: dict[str, Any], model: ModelSettings, used: UsageTotals, *, fits: bool
) -> None:
    assert (refusal(caps, model, used) is None) is fits


@pytest.mark.parametrize(
    ("caps", "model", "used", "told"),
    [
        pytest.param(
            {"calls_per_day": 1000},
            PLAIN,
            UsageTotals(calls=1000),
            "The call to 'plain' was not sent: budget.calls_per_day is used up (1,000 of 1,000). The caps reset at "
            "2026-11-25 00:00 UTC. No model has budget left.",
            id="calls",
        ),
        pytest.param(
            {"tokens_per_day": 20_000},
            CHEAP,
            UsageTotals(total_tokens=19_000, held_tokens=500),
            "The call to 'cheap' was not sent: it is estimated at 1,000 tokens, and budget.tokens_per_day has 500 of "
            "20,000 left. The caps reset at 2026-11-25 00:00 UTC. Models with budget left: cheap, plain, own, any "
            "model without an entry in [[models]].",
            id="tokens, of which a smaller call could do with the rest",
        ),
        pytest.param(
            {"usd_per_day": 5},
            CHEAP,
            UsageTotals(nano_usd=5 * NANO - 1),
            "The call to 'cheap' was not sent: it is estimated at 0.001000 USD, and budget.usd_per_day has 0.000000 of "
            "5.000000 USD left. The caps reset at 2026-11-25 00:00 UTC. No model has budget left.",
            id="money",
        ),
        pytest.param(
            {"usd_per_day": 5},
            PLAIN,
            UsageTotals(),
            "The call to 'plain' was not sent: budget.usd_per_day is set, and the price of the model is not known. Set "
            "`price` for the model in [[models]], or "
            'set budget.unpriced to "allow". Models with budget left: cheap, own.',
            id="no price",
        ),
        pytest.param(
            {},
            OWN,
            UsageTotals(calls=2),
            "The call to 'own' was not sent: calls_per_day of 'own' is used up (2 of 2). The caps reset at "
            "2026-11-25 00:00 UTC. Models with budget left: cheap, plain, any model without an entry in [[models]].",
            id="the model's own",
        ),
    ],
)
def test_a_refusal_names_the_cap_what_is_used_the_reset_and_what_else_may_be_called(
    caps: dict[str, Any], model: ModelSettings, used: UsageTotals, told: str
) -> None:
    error = refusal(caps, model, used)

    assert error is not None
    assert str(error) == told
    assert (error.code, error.origin, error.billed, error.retryable) == ("budget_exceeded", "local", "no", True)
    assert error.retry_after_seconds == 12 * 3600


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"max_tokens": 7}, Estimate(input_tokens=3, output_tokens=7), id="max_tokens"),
        pytest.param({"max_completion_tokens": 7}, Estimate(input_tokens=6, output_tokens=7), id="its newer name"),
        pytest.param({"max_output_tokens": 7}, Estimate(input_tokens=5, output_tokens=7), id="responses"),
        pytest.param(
            {"generationConfig": {"maxOutputTokens": 7}}, Estimate(input_tokens=8, output_tokens=7), id="Gemini"
        ),
        pytest.param({"a": "x" * 396}, Estimate(input_tokens=100, output_tokens=DEFAULT_OUTPUT_TOKENS), id="no limit"),
        pytest.param(["word " * 80], Estimate(input_tokens=100, output_tokens=DEFAULT_OUTPUT_TOKENS), id="no object"),
        pytest.param(
            {"image": "data:image/png;base64," + "A" * 10**6},
            Estimate(input_tokens=1002, output_tokens=DEFAULT_OUTPUT_TOKENS),
            id="a picture is one medium, whatever its size",
        ),
        pytest.param(
            {"file": FileData("speech.wav", "audio/wav", b"x" * 10**6)},
            Estimate(input_tokens=1001, output_tokens=DEFAULT_OUTPUT_TOKENS, audio_seconds=60),
            id="and so is a recording, of a minute",
        ),
        pytest.param(
            {"max_tokens": 1, "max_completion_tokens": 100_000},
            Estimate(input_tokens=9, output_tokens=100_000),
            id="the largest of several",
        ),
        pytest.param(
            {"Max_Tokens": 1, "extra_body": {"generation_config": {"max_output_tokens": "7000"}}},
            Estimate(input_tokens=15, output_tokens=7000),
            id="nested, in text, in another case",
        ),
        pytest.param(
            {"max_tokens": 10, "n": 3}, Estimate(input_tokens=4, output_tokens=30, images=3), id="several answers"
        ),
        *(
            pytest.param(
                {name: count},
                Estimate(input_tokens=tokens, output_tokens=DEFAULT_OUTPUT_TOKENS * images, images=images),
                id=f"pictures: {name} = {count}",
            )
            for name, count, tokens, images in (
                ("n", None, 1, 1),
                ("n", 0, 1, 1),
                ("n", "2", 1, 2),
                ("numImages", 4, 3, 4),
                ("sample_count", 4.0, 4, 4),
            )
        ),
        pytest.param(
            {"requests": [{"params": {"max_tokens": 7}}, {"params": {"max_tokens": 8}}]},
            Estimate(input_tokens=11, output_tokens=15),
            id="whole requests",
        ),
        pytest.param(
            {"messages": [{"max_tokens": 9}]},
            Estimate(input_tokens=5, output_tokens=DEFAULT_OUTPUT_TOKENS),
            id="a message",
        ),
        pytest.param(
            {"max_tokens": True}, Estimate(input_tokens=3, output_tokens=DEFAULT_OUTPUT_TOKENS), id="no number"
        ),
    ],
)
def test_what_a_call_is_expected_to_take(body: Any, expected: Estimate) -> None:
    assert estimate(body, writes=True) == expected
    assert estimate(body, writes=False) == replace(expected, output_tokens=0)


def test_money_is_whole_billionths_and_never_rounds_to_nothing() -> None:
    assert usd_to_nano(1000 * 0.15 / 1e6 + 500 * 0.60 / 1e6) == 450_000
    assert usd_to_nano(0.000001 / 1e6) == 1
    assert usd_to_nano(0) == 0
    assert usd_to_nano(1e300) == 10**15


def test_the_day_ends_at_midnight_utc() -> None:
    assert next_midnight(NOON) == datetime(2026, 11, 25, tzinfo=UTC)
    assert next_midnight(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
