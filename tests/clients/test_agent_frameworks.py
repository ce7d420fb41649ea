"""Agents of four frameworks with the server's tools and a scripted model."""

import json
import os
import sys
from typing import Any

import anyio
import pytest

from blaxel_mcp.emulator import Emulator
from tests.clients.driving import DRIVERS, Client, Server, driven, stdio_server
from tests.clients.fake_models import DONE, Call, FakeModel, serving
from tests.clients.installed import needs
from tests.support.connecting import TOOLS_OF_ONE, inference_requests
from tests.support.leaks import look_at

pytestmark = pytest.mark.anyio

MODELS = [
    {"name": "house-chat", "api": "chat-completions"},
    {"name": "house-embed", "api": "embeddings"},
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
]
TOOLS = [*(model["name"] for model in MODELS), *TOOLS_OF_ONE]

SCRIPT = (
    Call("An answer", "house-chat", {"prompt": "What is 6 * 7?"}),
    Call("A body", "run_model", {"model": "house-embed", "data": {"input": ["a cat"], "dimensions": 3}}),
    Call("An argument of the wrong kind", "run_model", {"model": 3}),
    Call("A picture", "house-painter", {"prompt": "A red barn"}),
    Call("A limit that is used up", "run_model", {"model": "fault-429-long", "data": {"inputs": "again"}}),
)


@pytest.fixture
def server(emulator: Emulator) -> Server:
    return stdio_server(emulator, BLAXEL_MCP_MODELS=json.dumps(MODELS))


def environment() -> dict[str, str]:
    """Return the environment of a client's process."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


async def run_agent(driver: str, server: Server, model: FakeModel) -> str:
    """Run an agent until its model is done; return its final text."""
    command = [sys.executable, str(DRIVERS / driver), json.dumps(server), model.url]
    with anyio.fail_after(50):
        finished = await anyio.run_process(command, env=environment(), check=False)
    look_at("what an agent prints", finished.stdout + finished.stderr)
    look_at("what its model is shown", json.dumps(model.asked))
    assert finished.returncode == 0, finished.stderr.decode()
    return finished.stdout.decode().strip()


async def test_an_openai_agent_gets_answers_pictures_and_failures(server: Server) -> None:
    with serving(FakeModel(SCRIPT)) as model:
        assert await run_agent("openai_agents_run.py", server, model) == DONE

    last = model.asked[-1]
    assert [tool["name"] for tool in last["tools"]] == TOOLS
    answer, vectors, refused, picture, limited = (
        item["output"] for item in last["input"] if item.get("type") == "function_call_output"
    )
    assert "42" in json.dumps(answer)
    assert "embedding" in json.dumps(vectors)
    assert "$.model: expected string, got integer 3" in json.dumps(refused)
    assert [part["type"] for part in picture] == ["input_text", "input_image"]
    assert "Retry after 3600 seconds." in json.dumps(limited)


async def test_google_genai_calls_the_tools_by_itself_and_shows_what_came_of_it(server: Server) -> None:
    with serving(FakeModel(SCRIPT)) as model:
        assert await run_agent("google_genai_run.py", server, model) == DONE

    last = model.asked[-1]
    (tools,) = last["tools"]
    assert [tool["name"] for tool in tools["functionDeclarations"]] == TOOLS
    parts = [part for content in last["contents"] for part in content["parts"]]
    answer, vectors, refused, picture, limited = (
        json.dumps(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part
    )
    assert "42" in answer
    assert "embedding" in vectors
    assert "$.model: expected string, got integer 3" in refused
    assert "image/png" in picture
    assert "Retry after 3600 seconds." in limited


@needs("fastmcp")
async def test_a_pydantic_ai_agent_builds_arguments_from_the_schemas_and_retries_after_a_failure(
    server: Server, emulator: Emulator
) -> None:
    client = Client(name="pydantic-ai", needs="fastmcp", driver="pydantic_ai_agent.py")
    async with driven(client, server, environment()) as agent:
        run = await agent.take("test_run", tools=["house-embed", "list_models", "house-painter"])
        failed = await agent.call("run_model", model="fault-429-long", data={"inputs": "again"})

    vectors, listed, painted = returned(run)
    assert vectors["content"]["model"] == "text-embedding-3-small"
    assert [model["name"] for model in listed["content"]["models"]] == [model["name"] for model in MODELS]
    assert '"media_type": "image/png"' in json.dumps(painted["content"])
    sent = [json.loads(request.body) for request in inference_requests(emulator.requests)]
    assert {"model": "text-embedding-3-small", "input": ["a"]} in sent
    (refusal,) = returned(failed)
    assert refusal["outcome"] == "retried"
    assert "Retry after 3600 seconds." in refusal["content"]


def returned(run: dict[str, Any]) -> list[dict[str, Any]]:
    """What the tools have returned in a run."""
    parts = [part for message in run["messages"] for part in message["parts"]]
    return [part for part in parts if part["part_kind"] == "tool-return"]


@needs("langchain")
async def test_langchain_gets_text_and_pictures_as_content_and_the_structured_answer_as_artifact(
    server: Server,
) -> None:
    client = Client(name="langchain", needs="langchain", driver="langchain_client.py")
    async with driven(client, server, environment()) as langchain:
        tools = (await langchain.take("list"))["tools"]
        answered = await langchain.call("house-chat", prompt="What is 6 * 7?")
        painted = await langchain.call("house-painter", prompt="A red barn")
        failed = await langchain.call("run_model", model="fault-429-long", data={"inputs": "again"})

    assert [tool["name"] for tool in tools] == TOOLS
    assert "prompt" in tools[0]["args"]
    (text,) = answered["content"]
    assert json.loads(text["text"]) == answered["artifact"]["structured_content"]
    assert "42" in text["text"]
    assert [block["type"] for block in painted["content"]] == ["text", "image"]
    assert painted["content"][1]["mime_type"] == "image/png"
    assert failed["status"] == "error"
    assert "Retry after 3600 seconds." in failed["content"][0]["text"]


@needs("langchain")
async def test_langchain_gets_a_file_instead_of_a_sound_if_the_settings_say_so(
    emulator: Emulator,
) -> None:
    client = Client(name="langchain", needs="langchain", driver="langchain_client.py")
    spoken = []
    for most in ("700000", "0"):
        settings = {"BLAXEL_MCP_MODELS": json.dumps(MODELS), "BLAXEL_MCP_LIMITS__MAX_MEDIA_BYTES": most}
        async with driven(client, stdio_server(emulator, **settings), environment()) as langchain:
            spoken.append(await langchain.call("house-voice", input="Hi", voice="alloy", response_format="wav"))

    sound, file = spoken
    assert sound["raised"].startswith("NotImplementedError: AudioContent")
    assert [block["type"] for block in file["content"]] == ["text", "file"]
    assert file["content"][0]["text"].startswith("The audio/wav of ")
