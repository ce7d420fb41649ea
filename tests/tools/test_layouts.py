"""Which tools the models get, and how little of a context window the list of them takes."""

import json
from typing import Any

import pytest

from blaxel_mcp.apis import APIS
from blaxel_mcp.cli.settings import DEMO_MODELS
from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, inference_requests, leading_to, text_of

pytestmark = pytest.mark.anyio


def chat_models(count: int) -> list[dict[str, Any]]:
    return [{"name": f"chat-model-{number}", "api": "chat-completions"} for number in range(count)]


async def listed(emulator: Emulator, models: Any, **tools: Any) -> dict[str, Any]:
    """Return the definitions of the tools by name, as they go over the wire."""
    async with connect(leading_to(emulator, models=models, tools=tools)) as client:
        definitions = (await client.list_tools()).tools
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in definitions}


def size(tools: dict[str, Any]) -> int:
    return len(json.dumps(list(tools.values()), separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("models", "layout", "most"),
    [
        pytest.param(chat_models(30), "per-model", 20_000, id="30 models"),
        pytest.param(chat_models(10), "per-model", 8_000, id="10 models"),
        pytest.param(DEMO_MODELS, "per-model", 5_000, id="the demo's models"),
        pytest.param(chat_models(30), "per-api", 3_072, id="30 models in one tool"),
    ],
)
async def test_the_list_of_tools_is_small(emulator: Emulator, models: Any, layout: str, most: int) -> None:
    assert size(await listed(emulator, models, layout=layout)) <= most


@pytest.mark.parametrize("api", [api.name for api in APIS])
async def test_a_models_tool_lists_usual_fields_and_its_guide_all(emulator: Emulator, api: str) -> None:
    async with connect(leading_to(emulator, models=[{"name": "m", "api": api}])) as client:
        tool = (await client.list_tools()).tools[0]
        guide = (await client.read_resource("blaxel://models/m")).contents[0]
        (row,) = answer_of(await client.call_tool("list_models", {"query": "m"}))["models"]

    full = json.loads(guide.model_dump()["text"])["input_schema"]
    assert row["input_schema"] == full
    assert tool.input_schema["properties"].keys() <= full["properties"].keys()
    assert set(full.get("required", [])) <= tool.input_schema["properties"].keys()
    assert tool.input_schema.get("required") == full.get("required")


async def test_a_field_that_is_not_listed_is_still_validated_and_sent(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi", "temperature": 0.5})
        rejected = await client.call_tool("house-chat", {"prompt": "Hi", "temperature": "hot"})

    assert not result.is_error
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body)["temperature"] == 0.5
    assert "$.temperature" in text_of(rejected)


async def test_a_fixed_list_of_values_is_listed_and_other_values_are_sent_all_the_same(emulator: Emulator) -> None:
    models = [{"name": "house-voice", "api": "speech"}, {"name": "house-painter", "api": "images"}]
    async with connect(leading_to(emulator, models=models)) as client:
        voice, painter, *_ = (await client.list_tools()).tools
        await client.call_tool("house-voice", {"input": "Hi", "voice": "alloy", "response_format": "mulaw"})

    assert "wav" in voice.input_schema["properties"]["response_format"]["enum"]
    assert "high" in painter.input_schema["properties"]["quality"]["enum"]
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body)["response_format"] == "mulaw"


MIXED = [
    {"name": "house-chat", "api": "chat-completions", "locked": {"temperature": 0}},
    {"name": "edge-chat", "api": "chat-completions"},
    {"name": "house-embed", "api": "embeddings"},
]


async def test_an_apis_tool_calls_the_model_that_its_argument_names(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=MIXED, tools={"layout": "per-api", "prefix": "bl_"})) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("bl_chat-completions", {"model": "house-chat", "prompt": "What is 6 * 7?"})
        vector = await client.call_tool("bl_embeddings", {"model": "house-embed", "input": "a cat"})
        rows = answer_of(await client.call_tool("bl_list_models", {}))["models"]

    assert names[:2] == ["bl_chat-completions", "bl_embeddings"]
    assert "42" in text_of(result)
    assert not vector.is_error
    chat, embedding = inference_requests(emulator.requests)
    assert (chat.path, json.loads(chat.body)["temperature"]) == ("/demo/models/house-chat/v1/chat/completions", 0)
    assert embedding.path == "/demo/models/house-embed/v1/embeddings"
    assert [row["tool"] for row in rows] == ["bl_chat-completions", "bl_chat-completions", "bl_embeddings"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(
            {"model": "house-embed", "prompt": "Hi"}, '$.model: expected one of "house-chat"', id="of another"
        ),
        pytest.param({"prompt": "Hi"}, "'model' is required", id="no model"),
        pytest.param(
            {"model": "edge-chat", "prompt": "Hi", "temperature": "hot"},
            "$.temperature",
            id="a field that is not listed",
        ),
        pytest.param({"model": "house-chat", "prompt": ["Hi"]}, "$.prompt", id="a field of the wrong type"),
    ],
)
async def test_an_apis_tool_says_what_is_wrong_and_sends_nothing(
    emulator: Emulator, arguments: dict[str, Any], problem: str
) -> None:
    async with connect(leading_to(emulator, models=MIXED, tools={"layout": "per-api"})) as client:
        result = await client.call_tool("chat-completions", arguments)

    assert result.is_error
    assert problem in text_of(result)
    assert not inference_requests(emulator.requests)


async def test_an_apis_tool_repairs_arguments_as_a_models_own_tool_does(emulator: Emulator) -> None:
    wrapped = {"arguments": json.dumps({"model": "edge-chat", "prompt": "Hi", "max_tokens": 5.0, "system": None})}
    async with connect(leading_to(emulator, models=MIXED, tools={"layout": "per-api"})) as client:
        result = await client.call_tool("chat-completions", wrapped)

    assert not result.is_error
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body)["max_tokens"] == 5


async def test_the_generic_layout_has_the_built_in_tools_alone_and_names_the_models(emulator: Emulator) -> None:
    tools = await listed(emulator, chat_models(3), layout="generic")

    assert list(tools) == ["run_model", "list_models", "read_result", "cancel_call"]
    assert "chat-model-0, chat-model-1, chat-model-2" in tools["run_model"]["description"]
