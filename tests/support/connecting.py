"""What several tests need: a configuration that leads to an emulator, and a client of the server."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio.lowlevel
import httpx
import mcp_types as types

from blaxel_mcp.cli.demo_settings import demo_overrides
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration, configuration
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.support.canaries import KEY, let_in
from tests.support.leaks import Client, look_below

Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")


def leading_to(emulator: Emulator, **settings: Any) -> Configuration:
    """The demo's configuration, with the suite's own key and some settings changed; None takes one away."""
    let_in(emulator)
    demo = demo_overrides(run_url=emulator.run_url, api_url=emulator.api_url)
    values = {**demo, "api_key": KEY, **settings}
    return configuration(Settings(**{name: value for name, value in values.items() if value is not None}))


async def no_wait(_seconds: float) -> None:
    """Let the time pass at once."""
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def connect(
    config: Configuration,
    era: Era = "2026-07-28",
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: RetryClock | None = None,
) -> AsyncIterator[Client]:
    """An in-memory client of a server with this configuration; nobody waits between two attempts.

    What it receives is looked through for secrets, and so are the files that the server removes at its end.
    """
    server = build_server(
        config, environment=Environment(transport=transport, clock=clock or RetryClock(sleep=no_wait))
    )
    async with Client(server, mode=era) as client:
        yield client
        look_below(Path.home())


def text_of(result: types.CallToolResult) -> str:
    """The text of the first block, which is all that some clients read."""
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def answer_of(result: types.CallToolResult) -> dict[str, Any]:
    """The structured content of a call that succeeded."""
    assert not result.is_error, text_of(result)
    content: dict[str, Any] | None = result.structured_content
    assert content is not None
    return content


def receipt_of(result: types.CallToolResult) -> dict[str, Any]:
    """The receipt of a call."""
    receipt: dict[str, Any] = (result.meta or {})[RECEIPT_KEY]
    return receipt


def error_of(result: types.CallToolResult) -> dict[str, Any]:
    """The fields of a call that failed."""
    assert result.is_error
    error: dict[str, Any] = (result.meta or {})[ERROR_KEY]
    return error


def inference_requests(requests: Iterable[RecordedRequest]) -> list[RecordedRequest]:
    """The requests that went to a model, in their order."""
    return [request for request in requests if not request.path.startswith("/v0/")]


def is_slow_call(request: RecordedRequest) -> bool:
    """Whether a request is a call of the slow model itself, and not the question for its record before it."""
    return request.path.startswith("/demo/models/fault-slow")
