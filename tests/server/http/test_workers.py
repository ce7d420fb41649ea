"""A worker process, without the supervisor that starts it."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import caller_auth_for
from blaxel_mcp.server.http.server import Worker
from blaxel_mcp.server.server import build_server
from tests.support.connecting import leading_to

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(os.name != "posix", reason="workers are for POSIX systems")
async def test_a_worker_whose_supervisor_ended_before_it_served_ends_too(emulator: Emulator) -> None:
    config = leading_to(emulator)
    ended = await anyio.open_process([sys.executable, "-c", ""])
    await ended.wait()

    @asynccontextmanager
    async def open_app() -> AsyncIterator[HttpApp]:
        address = resolve(config.settings.http)
        yield HttpApp(build_server(config, over_http=True), config, address, caller_auth_for(config, address))

    stopped, sent = anyio.Event(), list[str]()
    messages = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, Any]:
        message = next(messages)
        if message == "lifespan.shutdown":
            await stopped.wait()
        return {"type": message}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    previous = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        with anyio.fail_after(30):
            await Worker(open_app, print, 1, ended.pid)({"type": "lifespan"}, receive, send)
    finally:
        signal.signal(signal.SIGTERM, previous)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
