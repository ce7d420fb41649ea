"""A server over HTTP in this process, on loopback, and its clients."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import httpx2
import mcp_types as types
from mcp.client.streamable_http import streamable_http_client

from blaxel_mcp.inference.runtime import Environment
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

_PLAIN = Environment()

_CLOSED = -1
"""The descriptor of a closed socket."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server.

    Attributes:
        url: Its URL, without a path.
        shutdown: Ends it.
    """

    url: str
    shutdown: Shutdown

    @asynccontextmanager
    async def client(self, era: Era = "2026-07-28", headers: Headers | None = None) -> AsyncIterator[Client]:
        """Connect the SDK's client, which sends these headers."""
        async with client_of(f"{self.url}{MCP_PATH}", era, headers) as client:
            yield client

    @asynccontextmanager
    async def http(self, headers: Headers | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Open a plain HTTP client; the responses that it reads are searched for secrets."""
        hooks = {"response": [_look_at_answer]}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, event_hooks=hooks) as http:
            yield http

    async def post(self, content: bytes, headers: Headers) -> httpx.Response:
        """Return the response to one MCP request."""
        async with self.http(headers) as http:
            return await http.post(MCP_PATH, content=content)


@asynccontextmanager
async def client_of(
    url: str, era: Era = "2026-07-28", headers: Headers | None = None, *, answer: Any = None
) -> AsyncIterator[Client]:
    """Connect the SDK's client to a server by its URL.

    Args:
        url: The URL.
        era: The protocol.
        headers: More request headers.
        answer: Answers the questions of the server; None for a client that shows none.
    """
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, elicitation_callback=answer) as client,
    ):
        yield client


async def answer_to_42(client: Client) -> types.CallToolResult:
    """Return the result of a quick call, whose text contains 42."""
    return await client.call_tool("house-chat", {"prompt": "What is 6 * 7?"})


@asynccontextmanager
async def serving(
    config: Configuration,
    *,
    now: Callable[[], float] = time.monotonic,
    drain_seconds: float = DRAIN_SECONDS,
    environment: Environment = _PLAIN,
) -> AsyncIterator[Served]:
    """Serve on a free port of loopback while the context lasts; requests in flight are cancelled at its end.

    A test that begins the shutdown itself gets all of it. The other tests do not wait for uvicorn's own end, which
    takes 0.2 s of polling and would be most of their time.
    """
    http = config.settings.http.model_copy(update={"port": 0})
    config = replace(config, settings=config.settings.model_copy(update={"http": http}))
    wanted = resolve(http)
    require_safe(http, wanted)
    listener, address = listen(wanted)
    with closing(listener):
        auth = caller_auth_for(config, address, now=now)
        app = HttpApp(build_server(config, environment=environment, over_http=True), config, address, auth)
        shutdown, started = Shutdown(), anyio.Event()
        serve = partial(serve_http, app, listener, shutdown, started=started.set, drain_seconds=drain_seconds)
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            with anyio.fail_after(30):
                await started.wait()
            yield Served(address.url, shutdown)
            is_tested = shutdown.begun.is_set()
            shutdown.begin()
            shutdown.forced.set()
            if not is_tested:
                with anyio.fail_after(30):
                    while app.requests.count or listener.fileno() != _CLOSED:
                        await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()


def message(
    method: str, era: Era, *, more_meta: dict[str, Any] | None = None, **params: Any
) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of an MCP request over HTTP; `more_meta` joins its `_meta`."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if era != "legacy":
        headers |= {"mcp-protocol-version": era, "mcp-method": method}
        headers |= {"mcp-name": params["name"]} if "name" in params else {}
        prefix = "io.modelcontextprotocol/"
        client = {"name": "test", "version": "1"}
        meta = {f"{prefix}protocolVersion": era, f"{prefix}clientInfo": client, f"{prefix}clientCapabilities": {}}
        params = {**params, "_meta": {**meta, **(more_meta or {})}}
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(request).encode(), headers


async def _look_at_answer(response: httpx.Response) -> None:
    look_at("the headers of an answer", str(response.headers))
    if "event-stream" not in response.headers.get("content-type", ""):
        look_at("an answer", await response.aread())
