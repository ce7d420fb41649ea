"""The server as a client meets it: what is listed, what goes upstream, what comes back."""

import base64
import json
import logging
from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp import MCPError

from blaxel_mcp import __version__
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from tests.support.canaries import KEY, MARKER, WRONG_KEY
from tests.support.connecting import (
    ERAS,
    Era,
    answer_of,
    connect,
    error_of,
    inference_requests,
    leading_to,
    receipt_of,
    text_of,
)

pytestmark = pytest.mark.anyio

in_each_era = pytest.mark.parametrize("era", ERAS)

CHAT = {"name": "house-chat", "api": "chat-completions"}


@in_each_era
async def test_each_configured_model_has_a_tool_and_the_built_in_tools_follow(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator), era) as client:
        tools = (await client.list_tools()).tools

    assert [tool.name for tool in tools] == [
        "house-chat",
        "house-embed",
        "house-classifier",
        "edge-chat",
        "ask_models",
        "run_model",
        "list_models",
        "read_result",
        "cancel_call",
    ]
    assert emulator.requests == []


async def test_the_server_says_who_it_is_and_claims_only_what_it_does(emulator: Emulator) -> None:
    async with connect(leading_to(emulator), "legacy") as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("blaxel", __version__)
        assert client.server_capabilities == types.ServerCapabilities(
            tools=types.ToolsCapability(list_changed=False),
            resources=types.ResourcesCapability(subscribe=False, list_changed=False),
            prompts=types.PromptsCapability(list_changed=False),
            completions=types.CompletionsCapability(),
        )
        assert client.instructions
        (icon,) = client.server_info.icons or [types.Icon(src="")]
        kind, _, encoded = icon.src.partition(";base64,")
        assert kind == f"data:{icon.mime_type}"
        assert base64.b64decode(encoded).startswith(b"<svg ")


async def test_every_tool_is_described_annotated_and_named_for_every_client(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        tools = (await client.list_tools()).tools

    for tool in tools:
        assert tool.description
        assert len(tool.description) < 2000
        assert len(tool.name) <= 40
        assert tool.annotations is not None
        assert bool(tool.annotations.read_only_hint) is (tool.name in ("list_models", "read_result"))
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["properties"]
        assert not isinstance(tool.input_schema.get("additionalProperties"), bool)


@in_each_era
async def test_a_models_tool_sends_its_arguments_as_the_body_of_its_api(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator), era) as client:
        result = await client.call_tool(
            "house-chat", {"prompt": "What is 6 * 7?", "system": "Be brief.", "seed": 7, "max_tokens": None}
        )

    (request,) = inference_requests(emulator.requests)
    assert (request.method, request.path) == ("POST", "/demo/models/house-chat/v1/chat/completions")
    assert json.loads(request.body) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 * 7?"}],
        "seed": 7,
    }
    answer = answer_of(result)
    assert "42" in answer["choices"][0]["message"]["content"]
    assert json.loads(text_of(result)) == answer


async def test_a_request_carries_exactly_one_authentication_header_and_the_workspace(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        await client.call_tool("house-chat", {"prompt": "Hi"})

    for request in emulator.requests:
        headers = dict(request.headers)
        names = [name for name, _ in request.headers]
        assert headers["x-blaxel-authorization"] == f"Bearer {KEY}"
        assert headers["x-blaxel-workspace"] == "demo"
        assert names.count("x-blaxel-authorization") == 1
        assert "authorization" not in names
        assert "cookie" not in names


async def test_every_result_carries_its_receipt(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})

    receipt = receipt_of(result)
    assert receipt["call_id"].startswith("call_")
    assert receipt["elapsed_ms"] >= receipt["first_byte_ms"] > 0
    usage = answer_of(result)["usage"]
    cost = (usage["prompt_tokens"] * 0.15 + usage["completion_tokens"] * 0.60) / 1_000_000
    varying = ("call_id", "elapsed_ms", "first_byte_ms", "request_id", "cost_usd")
    assert receipt["cost_usd"] == pytest.approx(cost)
    assert receipt["request_id"]
    assert {name: value for name, value in receipt.items() if name not in varying} == {
        "model": "house-chat",
        "workspace": "demo",
        "budget": None,
        "method": "POST",
        "url": f"{emulator.run_url}/demo/models/house-chat/v1/chat/completions",
        "status": 200,
        "attempts": 1,
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
            "cached_input_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
        },
        "price_source": "configured",
        "agreed_by": None,
        "repairs": [],
        "notes": [],
        "truncated": False,
        "replayed": False,
    }


async def test_a_refused_call_and_a_listing_have_receipts_too(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        refused = receipt_of(await client.call_tool("house-chat", {"prompt": 5}))
        listed = receipt_of(await client.call_tool("list_models", {}))

    for receipt in (refused, listed):
        assert receipt["call_id"].startswith("call_")
        assert (receipt["attempts"], receipt["status"], receipt["url"]) == (0, None, None)
    assert refused["call_id"] != listed["call_id"]


async def test_json_comes_back_whole(emulator: Emulator) -> None:
    headers = {"X-Blaxel-Authorization": f"Bearer {KEY}", "X-Blaxel-Workspace": "demo"}
    async with httpx.AsyncClient(base_url=emulator.run_url, headers=headers) as plain:
        sent = (await plain.post("/demo/models/fault-numbers", json={})).text
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-numbers"})

    assert _literally(text_of(result)) == _literally(sent)
    assert json.dumps(answer_of(result)) == json.dumps(json.loads(sent))


def _literally(text: str) -> Any:
    """JSON with its numbers as they are spelled and its names in their order."""
    return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list)


async def test_an_array_is_wrapped_as_structured_content_and_stays_an_array_as_text(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-array"})

    assert answer_of(result) == {"result": json.loads(text_of(result))}
    assert isinstance(json.loads(text_of(result)), list)


async def test_a_picture_comes_back_as_a_picture_and_without_structured_content(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-png"})

    (block,) = result.content
    assert isinstance(block, types.ImageContent)
    assert block.mime_type == "image/png"
    assert result.structured_content is None


@pytest.mark.parametrize(
    ("model", "text", "structured"),
    [
        pytest.param("fault-204", "null", {"result": None}, id="204"),
        pytest.param("fault-empty-200", "null", {"result": None}, id="an empty 200"),
    ],
)
async def test_an_empty_success_is_a_success(
    emulator: Emulator, model: str, text: str, structured: dict[str, Any]
) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": model})

    assert (text_of(result), answer_of(result)) == (text, structured)


async def test_any_2xx_is_a_success(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        result = await client.call_tool("run_model", {"model": "fault-201"})

    assert not result.is_error
    assert receipt_of(result)["status"] == 201


@in_each_era
async def test_an_unknown_tool_is_a_protocol_error_that_names_the_nearest(emulator: Emulator, era: Era) -> None:
    async with connect(leading_to(emulator), era) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("house-chta", {})

    assert caught.value.code == types.INVALID_PARAMS
    assert caught.value.message == "Unknown tool: 'house-chta'. Did you mean 'house-chat'?"


class Broken(httpx.AsyncBaseTransport):
    """A transport with a bug, whose exception has a secret in its text."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"{KEY} in {request.url}")


@in_each_era
async def test_an_unexpected_exception_goes_to_the_log_and_not_to_the_client(
    emulator: Emulator, era: Era, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with connect(leading_to(emulator), era, transport=Broken()) as client:
            result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert MARKER not in result.model_dump_json()
    assert text_of(result).startswith("Internal error in this server.")
    assert receipt_of(result)["call_id"] in text_of(result)
    assert receipt_of(result)["call_id"] in caplog.text
    assert "RuntimeError" in caplog.text


async def test_without_credentials_tools_are_listed_and_a_call_says_how_to_give_them() -> None:
    async with connect(Configuration(Settings.model_validate({"workspace": "acme", "models": [CHAT]}))) as client:
        assert len((await client.list_tools()).tools) == 5
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "configuration_error"
    assert error_of(result)["billed"] == "no"
    for way in ("BL_API_KEY", "bl login acme", "blaxel-mcp demo"):
        assert way in text_of(result)


async def test_without_a_workspace_a_call_says_how_to_name_one() -> None:
    async with connect(Configuration(Settings.model_validate({"api_key": KEY, "models": [CHAT]}))) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert error_of(result)["code"] == "configuration_error"
    assert "BL_WORKSPACE" in text_of(result)


async def test_two_servers_in_one_process_do_not_share_anything(emulator: Emulator) -> None:
    wrong = leading_to(emulator, api_key=WRONG_KEY)
    async with connect(leading_to(emulator)) as right, connect(wrong) as left:
        assert not (await right.call_tool("house-chat", {"prompt": "Hi"})).is_error
        assert (await left.call_tool("house-chat", {"prompt": "Hi"})).is_error
        assert not (await right.call_tool("house-chat", {"prompt": "Hi"})).is_error
