"""`blaxel-mcp doctor` in tests: a healthy environment, and the report of the command."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import KEY, MARKER

MODELS = [{"name": "house-chat", "api": "chat-completions", "price": {"input": 0.15, "output": 0.6}}]


@dataclass(frozen=True)
class Examined:
    """The exit code, report and output of the command."""

    code: int
    report: dict[str, Any]
    text: str

    def check(self, name: str) -> dict[str, Any]:
        (found,) = (check for check in self.report["checks"] if check["id"] == name)
        return dict(found)

    def ids(self, outcome: str) -> list[str]:
        return [check["id"] for check in self.report["checks"] if check["outcome"] == outcome]

    def fix_of_the_only_failure(self, name: str) -> str:
        """Return the fix of the only failed check; checks that depend on it are skipped for no other reason."""
        assert self.ids("failed") == [name], self.text
        assert self.code == 1
        assert not self.report["ok"]
        assert MARKER not in self.text
        for check in self.report["checks"]:
            if check["found"].startswith("depends on"):
                assert check["found"] == f"depends on the check {name!r}, which failed"
        return str(self.check(name)["fix"])


@asynccontextmanager
async def listening(answer: Callable[[anyio.abc.SocketStream], Any]) -> AsyncIterator[str]:
    """Run a TCP server on loopback that handles each connection with `answer`.

    Yields:
        Its host and port.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - an attribute of the socket
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        yield f"127.0.0.1:{port}"
        group.cancel_scope.cancel()
    await listener.aclose()


@asynccontextmanager
async def dating(emulator: Emulator, seconds_off: float) -> AsyncIterator[str]:
    """Run a relay to the emulator that dates the responses this many seconds off; yield its URL."""
    host, _, port = emulator.url.removeprefix("http://").partition(":")
    date = f"Date: {formatdate(time.time() - seconds_off, usegmt=True)}\r\n".encode()

    async def relay(client: anyio.abc.SocketStream) -> None:
        async with client, await anyio.connect_tcp(host, int(port)) as server, anyio.create_task_group() as group:
            group.start_soon(pump, client, server, b"")
            await pump(server, client, date)
            group.cancel_scope.cancel()

    async with listening(relay) as address:
        yield f"http://{address}"


async def pump(reading: anyio.abc.SocketStream, writing: anyio.abc.SocketStream, date: bytes) -> None:
    """Forward bytes, with this `Date` header in each response and no other."""
    try:
        async for data in reading:
            plain = re.sub(rb"(?i)\r\ndate: [^\r\n]*", b"", data) if date else data
            await writing.send(re.sub(rb"(HTTP/1\.1 \d{3}[^\r\n]*\r\n)", rb"\1" + date, plain) if date else plain)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def examine(captured: pytest.CaptureFixture[bytes], *words: str) -> Examined:
    """Run the command in this process; it starts a server of its own, unless its settings are invalid."""
    with anyio.fail_after(50):
        code = await anyio.to_thread.run_sync(main, ["doctor", "--json", *words])
    sys.stdout.flush()
    out, err = captured.readouterr()
    return Examined(code, json.loads(out), (out + err).decode())


def lead_to(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of a healthy set-up."""
    monkeypatch.setenv("BL_RUN_URL", emulator.run_url)
    monkeypatch.setenv("BL_API_URL", emulator.api_url)
    monkeypatch.setenv("BL_WORKSPACE", "demo")
    monkeypatch.setenv("BL_API_KEY", KEY)
    monkeypatch.setenv("BLAXEL_MCP_MODELS", json.dumps(MODELS))
    monkeypatch.delenv("SSL_CERT_DIR")
