"""A workspace's models as tools, with nothing configured: listed, described and called."""

import json
from typing import Any

import anyio
import mcp_types as types
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.schema import BUILTIN_TOOLS
from tests.support.canaries import KEY
from tests.support.connecting import (
    ERAS,
    TOOLS_OF_ONE,
    Era,
    answer_of,
    connect,
    inference_requests,
    leading_to,
    text_of,
)
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

LARGEST_LIST_BYTES = 24 * 1024
"""Definitions of ten models: the tools of comparable servers take 18 to 121 KB of an agent's context."""


def discovering(emulator: Emulator, **settings: Any) -> Any:
    return leading_to(emulator, models=None, **settings)


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


@pytest.mark.parametrize("era", ERAS)
async def test_every_model_of_the_workspace_has_a_tool(emulator: Emulator, era: Era) -> None:
    async with connect(discovering(emulator), era) as client:
        assert await names(client) == [*sorted(emulator.models), *BUILTIN_TOOLS]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("house-chat", "/demo/models/house-chat/v1/chat/completions"),
        ("house-claude", "/demo/models/house-claude/v1/messages"),
        ("house-gemini", "/demo/models/house-gemini/v1beta/models/gemini-2.5-flash:generateContent"),
        ("house-cohere", "/demo/models/house-cohere/v2/chat"),
        ("edge-chat", "/direct/edge-chat/v1/chat/completions"),
    ],
)
async def test_one_argument_is_enough_for_any_provider(emulator: Emulator, model: str, path: str) -> None:
    async with connect(discovering(emulator)) as client:
        result = await client.call_tool(model, {"prompt": "What is 6 * 7?"})

    assert "42" in text_of(result)
    assert answer_of(result)
    assert [request.path for request in inference_requests(emulator.requests)] == [path]


async def test_an_agent_can_choose_by_what_is_said_of_a_model(emulator: Emulator) -> None:
    emulator.models["house-chat"] = EmulatedModel(name="house-chat", status="DEACTIVATED")
    async with connect(discovering(emulator)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert tools["house-claude"].description == (
        'anthropic "claude-sonnet-4-5" (Blaxel model house-claude). Answers `prompt`, or a conversation in `messages`.'
    )
    assert "DEACTIVATED" in (tools["house-chat"].description or "")


async def test_a_configured_model_goes_before_the_discovered_one_of_its_name(emulator: Emulator) -> None:
    models = [{"name": "house-gemini", "description": "Mine."}]
    async with connect(leading_to(emulator, models=models, discovery={"enabled": True})) as client:
        tools = (await client.list_tools()).tools

    assert (tools[0].name, tools[0].description) == ("house-gemini", "Mine.")
    assert [tool.name for tool in tools].count("house-gemini") == 1


async def test_what_does_not_fit_stays_reachable_and_is_named(emulator: Emulator) -> None:
    settings = {"discovery": {"exclude": ["house-e*"]}, "tools": {"max_tools": 2}}
    async with connect(discovering(emulator, **settings)) as client:
        tools = (await client.list_tools()).tools
        data = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
        result = await client.call_tool("run_model", {"model": "sandbox-openai", "data": data})

    assert [tool.name for tool in tools] == ["edge-chat", "house-chat", *BUILTIN_TOOLS]
    assert "sandbox-openai" in (tools[3].description or "")
    assert "house-embed" not in (tools[3].description or "")
    assert "42" in text_of(result)


async def test_without_the_control_plane_there_is_still_a_list_and_the_listing_says_why_it_is_short(
    emulator: Emulator,
) -> None:
    with anyio.fail_after(30):
        async with connect(discovering(emulator, api_url=f"{emulator.url}/v0/elsewhere")) as client:
            assert await names(client) == list(TOOLS_OF_ONE)
            listing = answer_of(await client.call_tool("list_models", {}))

    assert "could not be listed" in listing["notes"][0]


async def test_ten_models_leave_an_agent_most_of_its_context(emulator: Emulator) -> None:
    kinds = ("openai", "anthropic", "gemini", "cohere", "mistral")
    emulator.models.clear()
    for number in range(10):
        name = f"model-{number}"
        emulator.models[name] = EmulatedModel(name=name, type=kinds[number % 5], model=f"provider-model-{number}")
    async with connect(discovering(emulator)) as client:
        listed = await client.list_tools()

    definitions = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools]
    assert len(definitions) == 10 + len(BUILTIN_TOOLS)
    assert len(json.dumps(definitions).encode()) < LARGEST_LIST_BYTES


async def test_models_and_answers_are_resources_too(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        listed = (await client.list_resources()).resources
        result = await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})
        call_id = (result.meta or {})["blaxel-mcp/call"]["call_id"]
        model = (await client.read_resource("blaxel://models/house-chat")).contents[0]
        answer = (await client.read_resource(f"blaxel://calls/{call_id}")).contents[0]

    uris = [str(resource.uri) for resource in listed]
    assert uris[:3] == ["blaxel://models", "blaxel://usage", "blaxel://models/house-chat"]
    assert isinstance(model, types.TextResourceContents)
    assert "bl run model house-chat" in model.text
    assert KEY not in model.text
    assert isinstance(answer, types.TextResourceContents)
    assert answer.text == text_of(result)


async def test_the_first_list_is_no_news_and_a_later_change_is(emulator: Emulator) -> None:
    sending, changes = anyio.create_memory_object_stream[None](100)

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            sending.send_nowait(None)

    config = discovering(emulator, discovery={"refresh_seconds": 0.1})
    with sending, changes, anyio.fail_after(30):
        async with Client(build_server(config), mode="legacy", message_handler=on_message) as client:
            before = await names(client)
            # A notification of that list would have come before it.
            await names(client)
            assert changes.statistics().current_buffer_used == 0

            emulator.models["newcomer"] = EmulatedModel(name="newcomer")
            await changes.receive()
            assert "newcomer" in set(await names(client)) - set(before)
