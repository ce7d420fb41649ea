"""A worker process, without the supervisor that starts it."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import caller_auth_for
from blaxel_mcp.server.http.server import Worker
from blaxel_mcp.server.server import build_server
from tests.support.connecting import is_slow_call, leading_to
from tests.support.http_serving import SLOW_CALL, message

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def living(
    emulator: Emulator, drain_seconds: float, supervisor: int
) -> AsyncIterator[tuple[Worker, anyio.Event]]:
    """Run a worker as uvicorn does; yields it, and the event that it has got SIGTERM."""
    config = leading_to(emulator)

    @asynccontextmanager
    async def open_app() -> AsyncIterator[HttpApp]:
        address = resolve(config.settings.http)
        yield HttpApp(build_server(config, over_http=True), config, address, caller_auth_for(config, address))

    started, terminated, stopped, sent = anyio.Event(), anyio.Event(), anyio.Event(), list[str]()
    messages = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, Any]:
        message = next(messages)
        if message == "lifespan.shutdown":
            await stopped.wait()
        return {"type": message}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        started.set()

    worker = Worker(open_app, print, drain_seconds, supervisor)
    previous = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    try:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(worker, {"type": "lifespan"}, receive, send)
                await started.wait()
                yield worker, terminated
                # uvicorn waits for the requests first.
                stopped.set()
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.skipif(os.name != "posix", reason="workers are for POSIX systems")
async def test_a_worker_whose_supervisor_ended_before_it_served_ends_too(emulator: Emulator) -> None:
    ended = await anyio.open_process([sys.executable, "-c", ""])
    await ended.wait()
    async with living(emulator, 1, ended.pid) as (_, terminated):
        await terminated.wait()


@pytest.mark.skipif(os.name != "posix", reason="workers are for POSIX systems")
async def test_a_request_in_flight_at_the_end_of_a_worker_is_answered_and_ended_upstream(emulator: Emulator) -> None:
    body, headers = message("tools/call", "2026-07-28", **SLOW_CALL)
    answers: list[httpx.Response] = []
    async with living(emulator, 0, os.getppid()) as (worker, _), anyio.create_task_group() as group:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(worker), base_url="http://localhost", headers=headers)

        async def call() -> None:
            answers.append(await http.post("/mcp", content=body))

        group.start_soon(call)
        request = await emulator.wait_for(is_slow_call)
        signal.raise_signal(signal.SIGTERM)
        await request.wait_aborted()

    assert [answer.status_code for answer in answers] == [503]
    assert "may have been billed" in answers[0].text
