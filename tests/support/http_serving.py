"""A server over HTTP on loopback, in this process, and the clients that call it."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import httpx
import httpx2
import mcp_types as types
from mcp.client.streamable_http import streamable_http_client

from blaxel_mcp.server.http.address import MCP_PATH, listen, require_safe, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import caller_auth_for
from blaxel_mcp.server.http.server import DRAIN_SECONDS, Shutdown, serve_http
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
from tests.support.connecting import Era
from tests.support.leaks import Client, look_at

HOUSE_CHAT: dict[str, Any] = {"name": "house-chat", "arguments": {"prompt": "What is 6 * 7?"}}
SLOW_CALL: dict[str, Any] = {"name": "run_model", "arguments": {"model": "fault-slow-30s", "data": {"inputs": "x"}}}

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is running.

    Attributes:
        url: Its URL, without a path.
        shutdown: Ends it.
    """

    url: str
    shutdown: Shutdown

    @asynccontextmanager
    async def client(self, era: Era = "2026-07-28", headers: Headers | None = None) -> AsyncIterator[Client]:
        """The SDK's client, with headers of its own."""
        async with client_of(f"{self.url}{MCP_PATH}", era, headers) as client:
            yield client

    @asynccontextmanager
    async def http(self, headers: Headers | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A plain client; the answers that it reads are looked at."""
        hooks = {"response": [_look_at_answer]}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=10, trust_env=False, event_hooks=hooks
        ) as http:
            yield http

    async def post(self, content: bytes, headers: Headers) -> httpx.Response:
        """The answer to one request for MCP."""
        async with self.http(headers) as http:
            return await http.post(MCP_PATH, content=content)


@asynccontextmanager
async def client_of(url: str, era: Era = "2026-07-28", headers: Headers | None = None) -> AsyncIterator[Client]:
    """The SDK's client of a server, wherever it runs."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client


async def answer_to_42(client: Client) -> types.CallToolResult:
    """The result of a call that is quick, and right when it says 42."""
    return await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})


@asynccontextmanager
async def serving(
    config: Configuration, *, now: Callable[[], float] = time.monotonic, drain_seconds: float = DRAIN_SECONDS
) -> AsyncIterator[Served]:
    """A server on a free port of loopback while the context lasts; what it answers is over then."""
    http = config.settings.http.model_copy(update={"port": 0})
    config = replace(config, settings=config.settings.model_copy(update={"http": http}))
    wanted = resolve(http)
    require_safe(http, wanted)
    listener, address = listen(wanted)
    with closing(listener):
        auth = caller_auth_for(config, address, now=now)
        app = HttpApp(build_server(config), config, address, auth)
        shutdown, started = Shutdown(), anyio.Event()
        serve = partial(serve_http, app, listener, shutdown, started=started.set, drain_seconds=drain_seconds)
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            with anyio.fail_after(10):
                await started.wait()
            yield Served(address.url, shutdown)
            shutdown.begin()
            shutdown.forced.set()


def message(method: str, era: Era, **params: Any) -> tuple[bytes, dict[str, str]]:
    """A request as it goes over HTTP: its body and its headers."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if era != "legacy":
        headers |= {"mcp-protocol-version": era, "mcp-method": method}
        headers |= {"mcp-name": params["name"]} if "name" in params else {}
        prefix = "io.modelcontextprotocol/"
        client = {"name": "test", "version": "1"}
        meta = {f"{prefix}protocolVersion": era, f"{prefix}clientInfo": client, f"{prefix}clientCapabilities": {}}
        params = {**params, "_meta": meta}
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(request).encode(), headers


async def _look_at_answer(response: httpx.Response) -> None:
    look_at("the headers of an answer", str(response.headers))
    if "event-stream" not in response.headers.get("content-type", ""):
        look_at("an answer", await response.aread())
