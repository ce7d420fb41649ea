"""Our commands as processes of their own, as a client or a user starts them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from support import KEY

SERVE = [sys.executable, "-m", "blaxel_mcp", "serve"]


def frame(method: str, number: int | None = None, **params: Any) -> bytes:
    """A message as it goes over stdin; one with a number is a request."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message | ({} if number is None else {"id": number})).encode() + b"\n"


def hello() -> bytes:
    """What a client of the handshake era says first; the request's number is 1."""
    client = {"name": "test", "version": "1"}
    request = frame("initialize", 1, protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    return request + frame("notifications/initialized")


def variables(emulator: Emulator) -> dict[str, str]:
    """What leads a server process to the emulator, and nothing of this process's own."""
    models = [{"name": "house-chat", "api": "chat-completions"}]
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "BL_RUN_URL": emulator.run_url,
        "BL_API_URL": emulator.api_url,
        "BL_WORKSPACE": "demo",
        "BL_API_KEY": KEY,
        "BLAXEL_MCP_MODELS": json.dumps(models),
    }


@asynccontextmanager
async def emulator_command(upstream: str) -> AsyncIterator[dict[str, str]]:
    """Run `blaxel-mcp emulator --upstream` while the context lasts, and SIGTERM it then.

    Yields:
        The variables that it tells its user to export.
    """
    command = [sys.executable, "-m", "blaxel_mcp", "emulator", "--upstream", upstream]
    async with running(command) as process:
        assert process.stdout
        lines = BufferedByteReceiveStream(process.stdout)
        exports: dict[str, str] = {}
        with anyio.fail_after(20):
            while "BL_API_KEY" not in exports:
                line = (await lines.receive_until(b"\n", 1000)).decode().strip()
                if line.startswith("export "):
                    name, value = line.removeprefix("export ").split("=", 1)
                    exports[name] = value
        yield exports
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(5):
            assert await process.wait() == 0


@asynccontextmanager
async def running(command: list[str], **environment: str) -> AsyncIterator[anyio.abc.Process]:
    """A process with little in its environment, which does not outlive the context; its stdout can be read."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}
    process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=None, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
