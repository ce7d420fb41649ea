"""list_models: what an agent reads before it chooses."""

from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Any

import pytest

from blaxel_mcp.apis import CHAT_COMPLETIONS
from blaxel_mcp.catalog.entry import tool_schema
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.settings.models import ModelSettings
from tests.support.connecting import answer_of, connect, error_of, leading_to

pytestmark = pytest.mark.anyio


async def listed(emulator: Emulator, arguments: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    async with connect(leading_to(emulator, **settings)) as client:
        return answer_of(await client.call_tool("list_models", arguments or {}))


async def test_a_listing_says_how_each_model_is_called_and_in_what_state_it_is(emulator: Emulator) -> None:
    models: list[dict[str, Any]] = [
        {"name": "house-chat", "api": "chat-completions", "tool": "ask", "timeout_seconds": 30}
    ]
    models[0]["price"] = {"input": 0.1, "output": 0.2}

    assert await listed(emulator, models=models) == {
        "models": [
            {
                "name": "house-chat",
                "workspace": "demo",
                "tool": "ask",
                "api": "chat-completions",
                "path": "/v1/chat/completions",
                "title": "house-chat",
                "description": "Blaxel model house-chat. Answers `prompt`, or a conversation in `messages`.",
                "type": "openai",
                "provider_model": "gpt-4o-mini",
                "status": "DEPLOYED",
                "timeout_seconds": 30.0,
                "price": {"input": 0.1, "output": 0.2},
                "price_source": "configured",
                "input_schema": tool_schema(CHAT_COMPLETIONS, ModelSettings(name="house-chat")).full,
            }
        ],
        "total": 1,
        "next_offset": None,
        "workspace": "demo",
        "credentials": "api_key",
        "notes": [],
    }


async def test_a_listing_names_the_table_of_a_price_and_its_version(emulator: Emulator) -> None:
    (model,) = (await listed(emulator, models=[{"name": "house-chat"}]))["models"]

    assert model["price"] == {"input": 0.15, "output": 0.6, "cached_input": 0.075, "per_1k_searches": 10.0}
    source, _, day = model["price_source"].partition(", prices of ")
    assert source == f"genai-prices {version('genai-prices')}"
    assert date(2026, 1, 1) < date.fromisoformat(day) <= datetime.now(UTC).date()


@pytest.mark.parametrize("prices", ["configured", "table"])
async def test_a_price_that_nobody_knows_is_listed_as_null(emulator: Emulator, prices: str) -> None:
    emulator.models["house-chat"] = EmulatedModel(name="house-chat", type="openai", model="no-such-model")

    (model,) = (await listed(emulator, models=[{"name": "house-chat"}], prices=prices))["models"]

    assert (model["price"], model["price_source"]) == (None, None)


async def test_a_status_that_nobody_has_heard_of_is_shown_as_it_is(emulator: Emulator) -> None:
    emulator.models["house-chat"] = EmulatedModel(name="house-chat", type="brand-new", status="DREAMING")

    (model,) = (await listed(emulator, {"query": "HOUSE-CHAT"}))["models"]

    assert (model["type"], model["status"]) == ("brand-new", "DREAMING")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("house-", ["house-chat", "house-embed", "house-classifier"], id="in the name"),
        pytest.param("mk3", ["edge-chat"], id="in the title"),
        pytest.param("ARITHMETIC", ["house-chat"], id="in the description, ignoring case"),
        pytest.param("none such", [], id="nowhere"),
    ],
)
async def test_a_query_narrows_the_listing(emulator: Emulator, query: str, names: list[str]) -> None:
    listing = await listed(emulator, {"query": query})

    assert [model["name"] for model in listing["models"]] == names
    assert listing["total"] == len(names)


async def test_pages_lead_from_one_to_the_next_and_to_an_end(emulator: Emulator) -> None:
    settings: dict[str, Any] = {
        "models": [{"name": f"model-{number:03}"} for number in range(120)],
        "discovery": {"enabled": False},
    }
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await listed(emulator, {"offset": offset}, **settings)
        names += [model["name"] for model in page["models"]]
        assert page["total"] == 120
        offset = page["next_offset"]

    assert names == [f"model-{number:03}" for number in range(120)]


@pytest.mark.parametrize("offset", [1e20, 1e308, 10**300])
async def test_an_offset_beyond_all_models_lists_none(emulator: Emulator, offset: float) -> None:
    page = await listed(emulator, {"offset": offset})

    assert (page["models"], page["next_offset"]) == ([], None)


async def test_what_could_not_be_found_out_is_said(emulator: Emulator) -> None:
    listing = await listed(emulator, {"query": "house-chat"}, api_url=f"{emulator.url}/v0/elsewhere")

    assert [model["status"] for model in listing["models"]] == [None]
    assert listing["notes"] == ["the control plane answered 404 (not_found)"]


async def test_without_credentials_the_models_are_listed_and_what_is_missing_is_said(emulator: Emulator) -> None:
    listing = await listed(emulator, api_key=None)

    assert len(listing["models"]) == 4
    assert listing["credentials"] is None
    (note,) = listing["notes"]
    assert "no Blaxel credentials" in note


async def test_a_misspelled_argument_is_refused(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("list_models", {"quary": "x"})

    assert "did you mean 'query'?" in error_of(result)["message"]
