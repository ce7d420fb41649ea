"""Replicas of one server as processes, and a real `haproxy` in front of them."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from tests.replicas.engines import RedisServer, free_port, sharing
from tests.support.http_serving import message
from tests.support.processes import SERVE, started, variables

HAPROXY = shutil.which("haproxy")

needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

WAIT_SECONDS = 60
"""For what takes a second or two, on a busy machine too."""


class Replica:
    """A server process.

    Attributes:
        url: The URL of its MCP endpoint.
        pid: Its process id.
    """

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stderr
        self._process = process
        self._lines = BufferedByteReceiveStream(process.stderr)
        self.url = ""
        self.pid = process.pid

    async def read_until(self, pattern: str) -> re.Match[str]:
        """Return the next line of stderr that matches."""
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                line = (await self._lines.receive_until(b"\n", 10_000)).decode()
                if match := re.search(pattern, line):
                    return match

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        with anyio.fail_after(WAIT_SECONDS):
            return await self._process.wait()

    async def drain(self) -> None:
        """Read what it says until it has ended."""
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            while True:
                await self._lines.receive_until(b"\n", 10_000)


def environment_of(emulator: Emulator, redis: RedisServer, **settings: str) -> dict[str, str]:
    """Return the environment of a replica; settings are named like `limits__max_concurrency`."""
    shared = {f"shared__{name}": str(value) for name, value in sharing(redis).items()}
    ours = {f"BLAXEL_MCP_{name.upper()}": value for name, value in {**shared, **settings}.items()}
    return variables(emulator) | ours


@asynccontextmanager
async def replica(environment: dict[str, str], *arguments: str) -> AsyncIterator[Replica]:
    """Run one replica while the context lasts."""
    words = [*SERVE, "--transport", "http", "--port", "0", "--log-level", "info", *arguments]
    async with started(words, environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        server = Replica(process)
        server.url = (await server.read_until(r"^serving MCP at (http://\S+/mcp)$"))[1]
        yield server


@asynccontextmanager
async def replicas(environment: dict[str, str], count: int) -> AsyncIterator[list[Replica]]:
    """Run several replicas while the context lasts; they start side by side."""
    async with AsyncExitStack() as stack:
        servers: list[Replica] = []

        async def start() -> None:
            words = [*SERVE, "--transport", "http", "--port", "0", "--log-level", "info"]
            process = await stack.enter_async_context(
                started(words, environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            )
            servers.append(Replica(process))

        for _ in range(count):
            await start()
        for server in servers:
            server.url = (await server.read_until(r"^serving MCP at (http://\S+/mcp)$"))[1]
        yield servers


@asynccontextmanager
async def balanced(servers: Sequence[Replica], folder: Path) -> AsyncIterator[str]:
    """Run haproxy in front of replicas, which get requests in turn while `/readyz` says so; yield its URL."""
    assert HAPROXY
    port = free_port()
    lines = [
        "defaults",
        "  mode http",
        "  timeout connect 2s",
        # A server that is busy for a moment is ready all the same.
        "  timeout check 30s",
        "  timeout client 60s",
        "  timeout server 60s",
        "frontend all",
        f"  bind 127.0.0.1:{port}",
        "  default_backend replicas",
        "backend replicas",
        "  balance roundrobin",
        "  option httpchk GET /readyz",
        "  http-request set-header Host localhost",
        *(
            f"  server replica{number} {server.url.split('/')[2]} check inter 100ms fall 1 rise 1"
            for number, server in enumerate(servers)
        ),
        "",
    ]
    config = folder / "haproxy.cfg"
    config.write_text("\n".join(lines))
    async with await anyio.open_process([HAPROXY, "-f", str(config), "-db"], stdout=None, stderr=None) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient() as http:
                with anyio.fail_after(WAIT_SECONDS):
                    while not await is_ready(http, url):
                        await anyio.lowlevel.checkpoint()
            yield f"{url}/mcp"
        finally:
            process.kill()


async def is_ready(http: httpx.AsyncClient, url: str) -> bool:
    """Return whether a server, or the one behind it, says that it is ready."""
    with suppress(httpx.TransportError):
        return (await http.get(f"{url}/readyz")).is_success
    return False


async def call(url: str, tool: str, arguments: dict[str, Any], *, meta: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call a tool over a connection of its own, and return the JSON of its result."""
    body, headers = message("tools/call", "2026-07-28", name=tool, arguments=arguments, more_meta=meta or {})
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        response = await http.post(url, content=body, headers=headers)
    response.raise_for_status()
    # Alone, or as the last event of a stream.
    line = response.text.strip().splitlines()[-1].removeprefix("data: ")
    result: dict[str, Any] = json.loads(line)["result"]
    return result
