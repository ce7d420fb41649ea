"""Commands of `blaxel-mcp` as processes, started as a client or a user starts them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from tests.support.canaries import KEY, let_in
from tests.support.leaks import SearchedBytes, now_ours

SERVE = [sys.executable, "-m", "blaxel_mcp", "serve"]

ENDING_SECONDS = 20
"""Time for a process to end: enough on a busy machine, and less than the 30 s of a call that it must not wait for."""

SERVE_AS_A_CHILD = [
    *(sys.executable, "-c"),
    "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=0, stdout=1).wait()",
    *SERVE,
]
"""A process that starts the server; if it dies, the pipes stay open, since the test holds them."""


def frame(method: str, number: int | None = None, **params: Any) -> bytes:
    """Return a JSON-RPC message as a line; with a number it is a request."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message | ({} if number is None else {"id": number})).encode() + b"\n"


def hello() -> bytes:
    """Return the first messages of a handshake-era client; the id of the request is 1."""
    client = {"name": "test", "version": "1"}
    request = frame("initialize", 1, protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    return request + frame("notifications/initialized")


def variables(emulator: Emulator) -> dict[str, str]:
    """Return the whole environment of a server process that uses the emulator."""
    let_in(emulator)
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
    """Run `blaxel-mcp emulator --upstream` while the context lasts, and end it with SIGTERM.

    Yields:
        The variables that it prints for export.
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
        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0


@asynccontextmanager
async def running(command: list[str], **environment: str) -> AsyncIterator[anyio.abc.Process]:
    """Run a process with a minimal environment and a readable stdout; it does not outlive the context."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}
    async with started(command, environment, stdin=subprocess.DEVNULL) as process:
        yield process


@asynccontextmanager
async def started(
    command: list[str],
    environment: dict[str, str],
    *,
    stdin: int = subprocess.PIPE,
    stdout: int = subprocess.PIPE,
    stderr: int | None = None,
) -> AsyncIterator[anyio.abc.Process]:
    """Run a process that does not outlive the context; its output is searched for secrets.

    Args:
        command: The program and its arguments.
        environment: All of its environment variables.
        stdin: As for `subprocess`.
        stdout: As for `subprocess`.
        stderr: As for `subprocess`; None means a file below the test's folder.
    """
    log = _log()
    with log.open("rb+") as file:
        now_ours(log)
        process = await anyio.open_process(
            command, stdin=stdin, stdout=stdout, stderr=file if stderr is None else stderr, env=environment
        )
    searched = {
        f"_{name}": SearchedBytes(f"the {name} of a process", stream)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        if stream
    }
    vars(process).update(searched)
    try:
        yield process
    except BaseException:
        # The log goes into the report of the failure.
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            for stream in searched.values():
                with anyio.move_on_after(1), suppress(anyio.EndOfStream, anyio.ClosedResourceError):
                    while await stream.receive():
                        pass
            await process.aclose()


def _log() -> Path:
    """Return a new file for stderr in the test's folder, which is searched after the test."""
    descriptor, name = tempfile.mkstemp(dir=Path.home().parent, prefix="process-stderr-")
    os.close(descriptor)
    return Path(name)
