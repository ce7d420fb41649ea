"""Refusals by a budget, for configured and for discovered models."""

from typing import Any

import pytest

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

CHAT = {"name": "house-chat", "api": "chat-completions", "budget": {"calls_per_day": 1}}
EMBED = {"name": "house-embed", "api": "embeddings"}


async def refused(emulator: Emulator, tool: str, arguments: dict[str, Any], **settings: Any) -> Any:
    """Call twice, and return the refusal of the second call."""
    async with connect(leading_to(emulator, **settings)) as client:
        await client.list_tools()
        answer_of(await client.call_tool(tool, arguments))
        result = await client.call_tool(tool, arguments)
    assert error_of(result)["code"] == "budget_exceeded"
    assert len(inference_requests(emulator.requests)) == 1
    return result


async def test_a_refusal_for_one_model_names_the_models_with_budget_left(emulator: Emulator) -> None:
    result = await refused(emulator, "house-chat", {"prompt": "Hi"}, models=[CHAT, EMBED], discovery={"enabled": True})

    assert text_of(result).endswith("Models with budget left: house-embed, any model without an entry in [[models]].")


async def test_a_refusal_of_all_calls_names_no_model(emulator: Emulator) -> None:
    result = await refused(emulator, "house-embed", {"input": "a"}, models=[EMBED], budget={"calls_per_day": 1})

    assert text_of(result).endswith("No model has budget left.")


async def test_a_discovered_model_is_refused_by_the_global_cap_with_the_time_of_its_reset(emulator: Emulator) -> None:
    result = await refused(emulator, "house-embed", {"input": "a"}, models=None, budget={"calls_per_day": 1})

    assert text_of(result).startswith(
        "The call to 'house-embed' was not sent: budget.calls_per_day is used up (1 of 1)."
    )
    assert error_of(result)["retry_after_seconds"] > 0
    assert receipt_of(result)["budget"]["all"]["calls"] == {"used": 1, "cap": 1}


async def test_a_discovered_model_whose_price_is_not_known_is_refused_under_a_usd_cap_unless_allowed(
    emulator: Emulator,
) -> None:
    caps = {"usd_per_day": 1, "calls_per_day": 1}
    async with connect(leading_to(emulator, models=None, prices="configured", budget=caps)) as client:
        await client.list_tools()
        result = await client.call_tool("house-embed", {"input": "a"})
    assert error_of(result)["code"] == "budget_exceeded"
    assert "the price of the model is not known" in text_of(result)
    assert inference_requests(emulator.requests) == []

    await refused(
        emulator, "house-embed", {"input": "a"}, models=None, prices="configured", budget={**caps, "unpriced": "allow"}
    )


async def test_a_call_too_large_for_what_is_left_leaves_room_for_a_smaller_one(emulator: Emulator) -> None:
    caps = {"tokens_per_day": 1200}
    async with connect(leading_to(emulator, models=None, budget=caps)) as client:
        await client.list_tools()
        result = await client.call_tool("house-chat", {"prompt": "word " * 2000})
        small = await client.call_tool("house-chat", {"prompt": "Hi", "max_tokens": 5})

    assert error_of(result)["code"] == "budget_exceeded"
    assert text_of(result).endswith("Models with budget left: any model without an entry in [[models]].")
    assert answer_of(small)
