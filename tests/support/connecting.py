"""A configuration for the emulator, an in-memory client of the server, and the parts of its results."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio.lowlevel
import httpx
import mcp
import mcp_types as types
from mcp.client import ClientExtension

from blaxel_mcp.cli.settings import DEMO_MODELS, demo_overrides
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.support.canaries import KEY, let_in
from tests.support.leaks import Client, look_below

Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")

TOOLS_OF_ONE = tuple(name for name in BUILTIN_TOOLS if name != "ask_models")
"""The built-in tools where there are not two models that answer questions."""


def leading_to(emulator: Emulator, **settings: Any) -> Configuration:
    """Return the demo's configuration for an emulator, with the tests' own key and these settings; None removes one."""
    let_in(emulator)
    demo = demo_overrides(run_url=emulator.run_url, api_url=emulator.api_url)
    values = {**demo, "models": DEMO_MODELS, "api_key": KEY, **settings}
    return Configuration(Settings(**{name: value for name, value in values.items() if value is not None}))


async def no_wait(_seconds: float) -> None:
    """Return at once; the sleep of a `RetryClock` that does not wait."""
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def connect(
    config: Configuration,
    era: Era = "2026-07-28",
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: RetryClock | None = None,
    extensions: Sequence[ClientExtension] = (),
) -> AsyncIterator[Client]:
    """Connect an in-memory client to a server with this configuration, which does not wait between two attempts.

    What the client receives is searched for secrets, and so are the files that the server removes at its end.
    """
    server = build_server(
        config, environment=Environment(transport=transport, clock=clock or RetryClock(sleep=no_wait))
    )
    async with Client(server, mode=era, extensions=extensions or None) as client:
        yield client
        look_below(Path.home())


def text_of(result: types.CallToolResult) -> str:
    """Return the text of the first block; some clients read nothing else."""
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def answer_of(result: types.CallToolResult) -> dict[str, Any]:
    """Return the structured content of a successful result."""
    assert not result.is_error, text_of(result)
    content: dict[str, Any] | None = result.structured_content
    assert content is not None
    return content


async def finished(client: mcp.Client, result: types.CallToolResult) -> types.CallToolResult:
    """Return the result of a call, which may have been handed back as a handle."""
    while answer_of(result).get("state") == "running":
        arguments = {"call_id": receipt_of(result)["call_id"], "wait_seconds": 10}
        result = await client.call_tool("read_result", arguments)
    return result


def receipt_of(result: types.CallToolResult) -> dict[str, Any]:
    """Return the receipt of a result."""
    receipt: dict[str, Any] = (result.meta or {})[RECEIPT_KEY]
    return receipt


def error_of(result: types.CallToolResult) -> dict[str, Any]:
    """Return the error fields of a failed result."""
    assert result.is_error
    error: dict[str, Any] = (result.meta or {})[ERROR_KEY]
    return error


def inference_requests(requests: Iterable[RecordedRequest]) -> list[RecordedRequest]:
    """Return the requests to models, in order."""
    return [request for request in requests if not request.path.startswith("/v0/")]


def is_slow_call(request: RecordedRequest) -> bool:
    """Return whether a request calls the slow model; the request for its record does not."""
    return request.path.startswith("/demo/models/fault-slow")
