"""Our commands as processes of their own, as a client or a user starts them."""

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
from tests.support.leaks import Overheard, now_ours

SERVE = [sys.executable, "-m", "blaxel_mcp", "serve"]

SERVE_AS_A_CHILD = [
    *(sys.executable, "-c"),
    "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=0, stdout=1).wait()",
    *SERVE,
]
"""A process that starts the server, and whose death leaves the pipes as they are: they are the test's."""


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
    """A process that does not outlive the context; what it writes is looked through for secrets.

    Args:
        command: The program and its arguments.
        environment: All of its variables.
        stdin: As for `subprocess`, like the next two.
        stdout: The same.
        stderr: The same; a file below the test's folder if left out.
    """
    log = _log()
    with log.open("rb+") as file:
        now_ours(log)
        process = await anyio.open_process(
            command, stdin=stdin, stdout=stdout, stderr=file if stderr is None else stderr, env=environment
        )
    overheard = {
        f"_{name}": Overheard(f"the {name} of a process", stream)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        if stream
    }
    vars(process).update(overheard)
    try:
        yield process
    except BaseException:
        # Whoever looks for the reason is shown it, with the rest of what the test has written.
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            for stream in overheard.values():
                with anyio.move_on_after(1), suppress(anyio.EndOfStream, anyio.ClosedResourceError):
                    while await stream.receive():
                        pass
            await process.aclose()


def _log() -> Path:
    """A new file for stderr, beside the home directory, which is looked into after the test."""
    descriptor, name = tempfile.mkstemp(dir=Path.home().parent, prefix="process-stderr-")
    os.close(descriptor)
    return Path(name)
