"""Clients of other projects, as processes that take one step after another.

A driver connects one client to one server and then does what each line of its stdin says:
`{"step": "call", "name": ..., "arguments": ...}`. It answers in a line of JSON: the result as the
client hands it out, or `{"raised": ...}`. So a test says the same to each, and cancels a call
when it sees that the call is under way, not after a while.
"""

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.emulator import Emulator
from tests.clients.installed import CLIENTS, node, python
from tests.support.leaks import look_at
from tests.support.processes import SERVE, variables

DRIVERS = Path(__file__).parent / "drivers"

_MAX_LINE = 32 * 1024 * 1024
_SECONDS = 40
"""The time limit of a step, on a busy machine."""

Server = Mapping[str, Any]
"""`command`, `args` and `env` of a server on stdio, or `url` and `headers` of a server over HTTP."""


def stdio_server(emulator: Emulator, **environment: str) -> Server:
    """Return a server of this checkout that uses an emulator."""
    command, *arguments = SERVE
    return {"command": command, "args": arguments, "env": variables(emulator) | environment}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client and its driver.

    Attributes:
        name: What tests call it.
        needs: What `.ci/clients.py` installs for it; None for one of requirements-dev.txt.
        driver: The file of its driver.
        era: `legacy` for the handshake of the older protocol, `auto` for what the two agree on.
        lacks: The steps that it has no means for.
        http: Whether it reaches the server over HTTP.
    """

    name: str
    needs: str | None
    driver: str
    era: str = "legacy"
    lacks: frozenset[str] = field(default_factory=frozenset)
    http: bool = False

    def command(self, server: Server) -> list[str]:
        """Return the command of its driver."""
        script = str(DRIVERS / self.driver)
        if self.driver.endswith(".mjs"):
            return [node(), script, str(CLIENTS / str(self.needs)), json.dumps(server), self.era]
        return [python(self.needs) if self.needs else sys.executable, script, json.dumps(server), self.era]


class Driver:
    """A connected client."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def take(self, step: str, **given: Any) -> dict[str, Any]:
        """Take a step and return its result."""
        with anyio.fail_after(_SECONDS):
            await self._stdin.send(json.dumps({"step": step, **given}).encode() + b"\n")
            line = await self._stdout.receive_until(b"\n", _MAX_LINE)
        look_at(f"what came of {step}", line)
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return await self.take("call", name=name, arguments=arguments)


@asynccontextmanager
async def driven(client: Client, server: Server, environment: Mapping[str, str]) -> AsyncIterator[Driver]:
    """Run a client's driver while the context lasts; it has to end by itself with exit code 0.

    Args:
        client: Which.
        server: What it connects to.
        environment: The driver's own environment, of which a server on stdio gets nothing unless the client says so.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = await anyio.open_process(client.command(server), env=dict(environment), stderr=log)
        try:
            yield Driver(process)
            assert process.stdin
            await process.stdin.aclose()
            with anyio.fail_after(_SECONDS):
                await process.wait()
        finally:
            await _end(process)
            log.seek(0)
            said = log.read()
            look_at("stderr of a client and its server", said)
        assert (process.returncode, said) == (0, "")


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.kill()
    with anyio.CancelScope(shield=True):
        await process.aclose()
