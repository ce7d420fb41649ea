"""The server as the MCP Inspector sees it: a client that is not ours, on another SDK, over stdio."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from blaxel_mcp.apis import APIS
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.settings.schema import BUILTIN_TOOLS
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.clients.installed import needs, node, program
from tests.support.connecting import inference_requests
from tests.support.leaks import look_at
from tests.support.processes import SERVE, variables

pytestmark = [pytest.mark.anyio, needs("inspector")]

MODELS = [{"name": "house-chat", "api": "chat-completions"}, *({"name": api.name, "api": api.name} for api in APIS)]
"""A model to call, and one of each API for the sake of its tool's schema."""

PROTOCOL_VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
"""What the Inspector calls the eras, and the version of each that it asks for."""


class Inspected(NamedTuple):
    """How one run of the Inspector ended; `reply` is what the server said, as far as it was asked."""

    code: int
    reply: dict[str, Any]
    stderr: str

    @property
    def refusal(self) -> str:
        """The code of the Inspector's own error."""
        code: str = json.loads(self.stderr)["error"]["code"]
        return code


Inspect = Callable[..., Awaitable[Inspected]]


@pytest.fixture(params=PROTOCOL_VERSIONS)
def era(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def inspect(era: str, emulator: Emulator, tmp_path: Path) -> Inspect:
    """Run one method of the Inspector's command line against a server of its own."""
    command, *arguments = SERVE
    environment = variables(emulator) | {"BLAXEL_MCP_MODELS": json.dumps(MODELS)}
    server = {"command": command, "args": arguments, "env": environment, "protocolEra": era}
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"blaxel": server}}))

    async def inspect(method: str, *words: str) -> Inspected:
        target = ["--cli", "--config", str(file), "--server", "blaxel", "--quiet", "--format", "json"]
        with anyio.fail_after(40):
            finished = await anyio.run_process(
                [node(), program("inspector", "mcp-inspector"), *target, "--method", method, *words],
                env=_environment(),
                check=False,
            )
        look_at("the Inspector's output", finished.stdout + finished.stderr)
        reply = json.loads(finished.stdout)["result"] if finished.stdout else {}
        return Inspected(finished.returncode, reply, finished.stderr.decode())

    return inspect


def _environment() -> dict[str, str]:
    # It would look for the desktop's keychain otherwise, to keep secrets that there are none of.
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "MCP_INSPECTOR_SECRET_STORE": "memory"}


async def test_the_inspector_gets_the_era_that_it_asks_for(inspect: Inspect, era: str) -> None:
    inspected = await inspect("initialize")

    assert inspected.code == 0, inspected
    assert inspected.reply["protocolVersion"] == PROTOCOL_VERSIONS[era]
    assert inspected.reply["serverInfo"]["name"] == "blaxel"


async def test_the_inspector_lists_the_tools_and_finds_no_error_in_their_schemas(inspect: Inspect) -> None:
    # With --strict an error in a schema makes the exit code 6.
    inspected = await inspect("tools/list", "--strict")

    assert inspected.code == 0, inspected
    names = [model["name"] for model in MODELS]
    assert [tool["name"] for tool in inspected.reply["tools"]] == [*names, *BUILTIN_TOOLS]


async def test_the_inspector_calls_a_models_tool_with_arguments_typed_by_its_schema(
    inspect: Inspect, emulator: Emulator
) -> None:
    words = ("--tool-arg", "prompt=What is 6 * 7?", "--tool-arg", "max_tokens=50")
    inspected = await inspect("tools/call", "--tool-name", "house-chat", *words)

    assert (inspected.code, inspected.stderr) == (0, ""), inspected
    assert "42" in inspected.reply["structuredContent"]["choices"][0]["message"]["content"]
    assert inspected.reply["_meta"][RECEIPT_KEY]["status"] == 200
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "What is 6 * 7?"}],
        "max_tokens": 50,
    }


async def test_the_inspector_calls_any_model_at_any_path_with_any_body(inspect: Inspect, emulator: Emulator) -> None:
    body = {"input": ["a cat", "ein Käfer"], "dimensions": 4}
    arguments = json.dumps({"model": "house-embed", "path": "/v1/embeddings", "data": body})
    inspected = await inspect("tools/call", "--tool-name", "run_model", "--tool-args-json", arguments)

    assert (inspected.code, inspected.stderr) == (0, ""), inspected
    answer = inspected.reply["structuredContent"]
    assert [len(item["embedding"]) for item in answer["data"]] == [4, 4]
    assert json.loads(inspected.reply["content"][0]["text"]) == answer
    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body) == body | {"model": "text-embedding-3-small"}


async def test_a_failed_call_is_an_error_to_the_inspector_and_keeps_its_fields(inspect: Inspect) -> None:
    arguments = json.dumps({"model": "fault-429-long", "data": {"inputs": "again"}})
    inspected = await inspect("tools/call", "--tool-name", "run_model", "--tool-args-json", arguments)

    assert (inspected.code, inspected.refusal) == (5, "tool_is_error"), inspected
    assert inspected.reply["isError"] is True
    error = inspected.reply["_meta"][ERROR_KEY]
    assert (error["code"], error["origin"], error["retry_after_seconds"]) == ("rate_limited", "blaxel", 3600.0)
    assert inspected.reply["content"][0]["text"].startswith(error["message"])


async def test_a_tool_that_is_not_listed_is_unknown_to_the_inspector(inspect: Inspect, emulator: Emulator) -> None:
    inspected = await inspect("tools/call", "--tool-name", "house-cat", "--tool-args-json", "{}")

    assert (inspected.code, inspected.reply) == (5, {}), inspected
    assert inspected.refusal == "tool_not_found"
    assert emulator.requests == []
