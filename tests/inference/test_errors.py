"""What an error says of the model that was called, beside what upstream said."""

from typing import Any

import pytest

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import PARTIAL_FOLLOWS, describe
from tests.support.connecting import connect, error_of, leading_to, text_of

pytestmark = pytest.mark.anyio


async def call(emulator: Emulator, model: str, **record: Any) -> Any:
    """Call a model of the emulator's that fails as its name says, with a record of its own."""
    emulator.models[model] = EmulatedModel(name=model, **record)
    async with connect(leading_to(emulator)) as client:
        return await client.call_tool("run_model", {"model": model, "data": {"inputs": "x"}})


async def test_a_rate_limit_names_the_policies_of_the_model(emulator: Emulator) -> None:
    result = await call(emulator, "fault-429-none", policies=("tokens-per-hour", "house-rules"))

    assert error_of(result)["code"] == "rate_limited"
    assert text_of(result).endswith(
        "These policies apply to the model and may cause the limit: 'tokens-per-hour', 'house-rules'."
    )


async def test_a_providers_rate_limit_is_not_blamed_on_the_policies(emulator: Emulator) -> None:
    result = await call(emulator, "fault-429-provider", policies=("tokens-per-hour",))

    assert "tokens-per-hour" not in text_of(result)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        pytest.param(
            {"status": "DEPLOYING"},
            "Its last known status is DEPLOYING; it answers once that is DEPLOYED, which list_models shows.",
            id="in progress",
        ),
        pytest.param({}, "It was deployed when last checked, so this should pass in a minute or so.", id="deployed"),
        pytest.param(
            {"enabled": False},
            "The model is disabled in Blaxel: enable it there before you retry.",
            id="disabled",
        ),
    ],
)
async def test_an_unavailable_model_says_what_to_wait_for(
    emulator: Emulator, record: dict[str, Any], told: str
) -> None:
    result = await call(emulator, "fault-404-unavailable", **record)

    assert error_of(result)["code"] == "model_unavailable"
    assert text_of(result).endswith(told)


async def test_a_cold_start_at_the_provider_says_how_long_it_takes(emulator: Emulator) -> None:
    result = await call(emulator, "fault-503-loading")

    fields = {"code": "model_unavailable", "origin": "provider", "retryable": True, "billed": "no"}
    assert error_of(result).items() >= fields.items()
    assert error_of(result)["retry_after_seconds"] == 20.5
    assert "The provider is loading the model (cold start)." in text_of(result)
    assert text_of(result).endswith("Retry after 20.5 seconds.")


async def test_a_quota_says_that_waiting_does_not_help(emulator: Emulator) -> None:
    result = await call(emulator, "fault-402")

    assert error_of(result).items() >= {"code": "quota_exceeded", "retryable": False}.items()
    assert "Waiting does not help" in text_of(result)


async def test_a_model_that_is_gone_is_told_with_the_names_near_it(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, discovery={"enabled": True})) as client:
        for name in ("house-chat-2", "house-chat-old"):
            emulator.models[name] = EmulatedModel(name=name)
        del emulator.models["house-chat"]
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "unknown_model"
    assert error_of(result)["hint"].startswith("Did you mean 'house-")


async def test_several_names_are_told_where_several_are_near(emulator: Emulator) -> None:
    for name in ("summarise-short", "summarise-shorter"):
        emulator.models[name] = EmulatedModel(name=name)
    async with connect(leading_to(emulator, models=None)) as client:
        await client.list_tools()
        result = await client.call_tool("run_model", {"model": "sumarise-short", "data": {}})

    assert "Did you mean 'summarise-short' or 'summarise-shorter'?" in text_of(result)


async def test_a_misspelled_path_is_answered_with_the_one_that_was_meant(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        arguments = {"model": "house-chat", "path": "/v1/chat/completion", "data": {"messages": []}}
        result = await client.call_tool("run_model", arguments)

    assert "Did you mean the path '/v1/chat/completions'?" in error_of(result)["hint"]


def test_a_partial_answer_is_mentioned_only_where_it_is_shown() -> None:
    error = BlaxelError("It broke off.", code="bad_response", origin="network", hint="It was probably billed.")
    assert describe(error, CallContext(), partial=PARTIAL_FOLLOWS).hint == "It was probably billed."

    error.partial = "Once upon"
    assert describe(error, CallContext(), partial=PARTIAL_FOLLOWS).hint == (
        "The partial answer follows. It was probably billed."
    )
    assert describe(error, CallContext()).hint == "It was probably billed."
