"""`blaxel-mcp serve --transport http` as a process, for clients that need a URL."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from blaxel_mcp.emulator import Emulator
from tests.support.processes import SERVE, started, variables

_SERVING = re.compile(rb"serving MCP at (http://\S+)")
_SECONDS = 30


@asynccontextmanager
async def served_over_http(emulator: Emulator, **environment: str) -> AsyncIterator[str]:
    """Serve over HTTP while the context lasts; yield the server's URL."""
    command = [*SERVE, "--transport", "http", "--port", "0"]
    async with started(
        command, variables(emulator) | environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        said = b""
        with anyio.fail_after(_SECONDS):
            while not (serving := _SERVING.search(said)):
                said += await process.stderr.receive()
        yield serving[1].decode()
