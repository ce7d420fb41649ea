"""The clients of other SDKs, which are not ours: what each of them makes of the server's tools and results."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import anyio
import pytest

from blaxel_mcp import __version__
from blaxel_mcp.emulator import Emulator, run_emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.server.server import INSTRUCTIONS
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.clients.driving import Client, Driver, driven, stdio_server
from tests.clients.installed import needs
from tests.clients.served_http import served_over_http
from tests.support.canaries import CanaryEmulator, let_in
from tests.support.connecting import TOOLS_OF_ONE, inference_requests, is_slow_call

pytestmark = pytest.mark.anyio

ON_STDIO = (
    Client(name="typescript-v1", needs="typescript", driver="typescript_v1.mjs"),
    Client(name="typescript-v2-legacy", needs="typescript", driver="typescript_v2.mjs"),
    Client(name="typescript-v2", needs="typescript", driver="typescript_v2.mjs", era="auto"),
    Client(name="fastmcp-legacy", needs="fastmcp", driver="fastmcp_client.py"),
    Client(name="fastmcp", needs="fastmcp", driver="fastmcp_client.py", era="auto"),
    Client(
        name="openai-agents",
        needs=None,
        driver="openai_agents_client.py",
        lacks=frozenset({"hello", "read", "progress"}),
    ),
)
ON_HTTP = tuple(replace(client, name=f"{client.name}-http", http=True) for client in ON_STDIO)
CLIENTS = (*ON_STDIO, *ON_HTTP)

MODELS = [
    {"name": "house-chat", "api": "chat-completions"},
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[Emulator]:
    """One emulated platform for all the clients."""
    prepared = CanaryEmulator()
    let_in(prepared)
    async with run_emulator(emulator=prepared) as running:
        yield running


@pytest.fixture
def emulator(platform: Emulator) -> Emulator:
    """The platform, which has forgotten what it was asked before this test."""
    platform.requests.clear()
    return platform


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(client, id=client.name, marks=needs(client.needs) if client.needs else ()) for client in CLIENTS
    ],
)
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    return chosen


@pytest.fixture(scope="module")
async def driver(client: Client, platform: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    """The client, connected; all of its tests go over one connection, as an agent's calls do."""
    home = str(tmp_path_factory.mktemp("home"))
    settings = {"HOME": home, "BLAXEL_MCP_MODELS": json.dumps(MODELS)}
    environment = {"PATH": os.environ["PATH"], "HOME": home}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)
        async with AsyncExitStack() as stack:
            server = stdio_server(platform, **settings)
            if client.http:
                server = {"url": await stack.enter_async_context(served_over_http(platform, **settings))}
            yield await stack.enter_async_context(driven(client, server, environment))


def without(client: Client, step: str) -> None:
    if step in client.lacks:
        pytest.skip(f"{client.name} has no means for this")


def meta(outcome: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = outcome["_meta"][key]
    return found


async def test_it_receives_the_server_info_and_the_instructions(client: Client, driver: Driver) -> None:
    without(client, "hello")

    hello = await driver.take("hello")

    assert hello["serverInfo"]["name"] == "blaxel"
    assert hello["serverInfo"]["version"] == __version__
    assert hello["instructions"] == INSTRUCTIONS
    assert hello["protocolVersion"] == ("2026-07-28" if client.era == "auto" else "2025-11-25")


async def test_it_lists_every_tool_with_a_schema_and_the_hints(driver: Driver) -> None:
    tools = (await driver.take("list"))["tools"]

    assert [tool["name"] for tool in tools] == [*(model["name"] for model in MODELS), *TOOLS_OF_ONE]
    for tool in tools:
        assert tool["inputSchema"]["type"] == "object"
        assert tool["inputSchema"]["properties"]
        assert bool(tool["annotations"].get("readOnlyHint")) is (tool["name"] in ("list_models", "read_result"))


async def test_it_gets_the_answer_as_text_and_as_structured_content(
    client: Client, driver: Driver, emulator: Emulator
) -> None:
    outcome = await driver.call("house-chat", prompt="What is 6 * 7?", max_tokens=50)

    (text,) = outcome["content"]
    assert json.loads(text["text"]) == outcome["structuredContent"]
    assert "42" in outcome["structuredContent"]["choices"][0]["message"]["content"]
    assert meta(outcome, RECEIPT_KEY)["status"] == 200
    (request,) = inference_requests(emulator.requests)
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is 6 * 7?"}], "max_tokens": 50}
    # fastmcp asks for progress of every call, and then the answer is streamed.
    assert json.loads(request.body) == body | (streamed if client.name.startswith("fastmcp") else {})


async def test_it_calls_any_model_at_any_path_with_any_body(driver: Driver, emulator: Emulator) -> None:
    body = {"input": ["a cat", "ein Käfer"], "dimensions": 4}

    outcome = await driver.call("run_model", model="house-embed", path="/v1/embeddings", data=body)

    assert [len(item["embedding"]) for item in outcome["structuredContent"]["data"]] == [4, 4]
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body) == body | {"model": "text-embedding-3-small"}


async def test_it_gets_a_picture_as_a_picture(driver: Driver) -> None:
    outcome = await driver.call("house-painter", prompt="A red barn")

    assert [block["type"] for block in outcome["content"]] == ["text", "image"]
    assert outcome["content"][1]["mimeType"] == "image/png"
    assert outcome.get("structuredContent") is None


async def test_it_gets_a_sound_as_a_sound(driver: Driver) -> None:
    outcome = await driver.call("house-voice", input="Good morning", voice="alloy", response_format="wav")

    text, sound = outcome["content"]
    assert (sound["type"], sound["mimeType"]) == ("audio", "audio/wav")
    assert (text["type"], text["text"].partition(",")[0]) == ("text", "audio/wav")


async def test_it_receives_a_failure_as_a_result_with_the_next_step(driver: Driver) -> None:
    outcome = await driver.call("run_model", model="fault-429-long", data={"inputs": "again"})

    assert outcome["isError"] is True
    error = meta(outcome, ERROR_KEY)
    assert (error["code"], error["origin"], error["retry_after_seconds"]) == ("rate_limited", "blaxel", 3600.0)
    assert outcome["content"][0]["text"].startswith(error["message"])


async def test_a_bad_argument_is_a_failure_that_names_it(driver: Driver, emulator: Emulator) -> None:
    outcome = await driver.call("house-chat", prompt="Hi", temperature="warm")

    assert outcome["isError"] is True
    assert "temperature" in outcome["content"][0]["text"]
    assert inference_requests(emulator.requests) == []


async def test_an_unknown_tool_is_an_error_of_the_protocol(driver: Driver) -> None:
    outcome = await driver.call("house-cat")

    assert list(outcome) == ["raised"]
    assert "house-cat" in outcome["raised"]


async def test_it_receives_progress_of_a_growing_answer(client: Client, driver: Driver) -> None:
    without(client, "progress")

    arguments = {"model": "fault-stream-slow", "data": {"messages": [{"role": "user", "content": "Hi"}]}}
    outcome = await driver.take("progress", name="run_model", arguments=arguments)

    assert not outcome.get("isError"), outcome
    # The TypeScript clients lose what comes right before the result, so not all of it is here.
    assert outcome["progress"]
    figures = [item["progress"] for item in outcome["progress"]]
    assert figures == sorted(set(figures))
    assert all(item["message"].startswith("fault-stream-slow: ") for item in outcome["progress"])


async def test_a_call_that_it_cancels_is_aborted_upstream_and_the_next_one_goes_through(
    driver: Driver, emulator: Emulator
) -> None:
    await driver.take("start", name="run_model", arguments={"model": "fault-slow-30s", "data": {}})
    sent = await emulator.wait_for(is_slow_call, timeout_seconds=20)

    cancelled = await driver.take("cancel", name="run_model")

    assert list(cancelled) == ["raised"]
    with anyio.fail_after(30):
        await sent.wait_aborted()
    outcome = await driver.call("house-chat", prompt="What is 6 * 7?")
    assert "42" in outcome["content"][0]["text"]


async def test_it_reads_the_resources(client: Client, driver: Driver) -> None:
    without(client, "read")

    (contents,) = (await driver.take("read", uri="blaxel://models/house-chat"))["contents"]

    assert json.loads(contents["text"])["name"] == "house-chat"
