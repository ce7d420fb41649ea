"""What calls have taken, as `blaxel://usage` tells it."""

import json
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from mcp import Client

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.receipt import Receipt
from blaxel_mcp.usage_tally import UsageTally
from support import connect, leading_to, receipt_of

pytestmark = pytest.mark.anyio

MODELS = [
    {"name": "house-chat", "api": "chat-completions", "price": {"input": 1, "output": 2}},
    {"name": "house-embed", "api": "embeddings"},
]
NOTHING = {
    "calls": 0,
    "failed": 0,
    "failed_maybe_billed": 0,
    "without_tokens": 0,
    "without_price": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "cost_usd": None,
}


async def usage(client: Client) -> dict[str, Any]:
    (contents,) = (await client.read_resource("blaxel://usage")).contents
    assert isinstance(contents, types.TextResourceContents)
    report: dict[str, Any] = json.loads(contents.text)
    return report


async def test_the_figures_of_answers_are_those_of_their_receipts_added_up(emulator: Emulator) -> None:
    again = {"messages": [{"role": "user", "content": "And again"}]}
    async with connect(leading_to(emulator, models=MODELS)) as client:
        receipts = [
            receipt_of(await client.call_tool("house-chat", {"prompt": "Hi"})),
            receipt_of(await client.call_tool("run_model", {"model": "house-chat", "data": again})),
        ]
        embedded = receipt_of(await client.call_tool("house-embed", {"input": "a cat"}))
        told = (await usage(client))["models"]

    added = {
        name: sum(receipt["usage"][name] for receipt in receipts)
        for name in ("input_tokens", "output_tokens", "total_tokens")
    }
    cost = (added["input_tokens"] + 2 * added["output_tokens"]) / 1_000_000
    assert added["total_tokens"] > 0
    assert told == [
        {"model": "house-chat", "workspace": "demo", **NOTHING, "calls": 2, **added, "cost_usd": cost},
        {
            "model": "house-embed",
            "workspace": "demo",
            **NOTHING,
            "calls": 1,
            "without_price": 1,
            "input_tokens": embedded["usage"]["input_tokens"],
            "total_tokens": embedded["usage"]["total_tokens"],
        },
    ]


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        pytest.param("fault-404", {"calls": 1, "failed": 1}, id="refused"),
        pytest.param("fault-drop", {"calls": 1, "failed": 1, "failed_maybe_billed": 1}, id="broken off"),
        pytest.param("fault-text", {"calls": 1, "without_tokens": 1, "without_price": 1}, id="silent about tokens"),
    ],
)
async def test_a_call_without_figures_is_counted_as_what_it_was(
    emulator: Emulator, model: str, figures: dict[str, Any]
) -> None:
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("run_model", {"model": model, "data": {}})
        told = (await usage(client))["models"]

    assert told == [{"model": model, "workspace": "demo", **NOTHING, **figures}]


async def test_a_call_that_was_not_sent_is_not_counted(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, access={"models": ["other-*"]})) as client:
        result = await client.call_tool("run_model", {"model": "house-chat", "data": {}})
        told = (await usage(client))["models"]

    assert result.is_error
    assert told == []


async def test_a_call_that_was_stopped_may_have_been_billed() -> None:
    tally, receipt = UsageTally(), Receipt(model="house-chat", workspace="demo")
    with anyio.CancelScope() as scope, tally.counting(receipt):
        receipt.trace.sent = True
        scope.cancel()
        await anyio.lowlevel.checkpoint()

    figures = {"calls": 1, "failed": 1, "failed_maybe_billed": 1}
    assert tally.report()["models"] == [{"model": "house-chat", "workspace": "demo", **NOTHING, **figures}]


def test_made_up_names_are_told_together_once_there_are_too_many() -> None:
    tally = UsageTally(now=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))
    for number in range(600):
        with tally.counting(Receipt(model=f"made-up-{number}", workspace="demo")):
            pass

    report = tally.report()
    assert report["since"] == "2026-11-23T12:00:00+00:00"
    assert len(report["models"]) == 501
    others = {**NOTHING, "calls": 100, "without_tokens": 100, "without_price": 100}
    assert report["models"][0] == {"model": None, "workspace": None, **others}
