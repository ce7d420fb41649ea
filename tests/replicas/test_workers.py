"""`--workers`: processes on one address, which uvicorn's supervisor keeps running and which share their state."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.emulator import Emulator, RecordedRequest
from tests.replicas.engines import RedisServer, needs_redis
from tests.replicas.replicas import WAIT_SECONDS, Replica, call, environment_of, replica
from tests.support.canaries import HTTP_TOKEN
from tests.support.connecting import inference_requests, is_slow_call
from tests.support.http_serving import HOUSE_CHAT, SLOW_CALL, message
from tests.support.processes import SERVE, variables

pytestmark = [needs_redis, pytest.mark.anyio]

WORKERS = ("--workers", "2")


@asynccontextmanager
async def two_workers(
    emulator: Emulator, redis: RedisServer, **settings: str
) -> AsyncIterator[tuple[Replica, list[int]]]:
    """Run two workers that are serving; yield the server and their process ids."""
    async with replica(environment_of(emulator, redis, **settings), *WORKERS) as server:
        yield server, [int((await server.read_until(r"worker (\d+) is serving"))[1]) for _ in range(2)]


def slow_calls(emulator: Emulator) -> list[RecordedRequest]:
    return list(filter(is_slow_call, emulator.requests))


async def test_workers_need_shared_state(emulator: Emulator) -> None:
    command = [*SERVE, "--transport", "http", "--port", "0", *WORKERS]
    finished = await anyio.run_process(command, env=variables(emulator), check=False, stdin=subprocess.DEVNULL)

    assert finished.returncode == 2
    assert b"--workers needs [shared]" in finished.stderr
    assert b"serving MCP" not in finished.stderr
    assert b"Traceback" not in finished.stderr


async def test_a_handle_of_one_worker_is_known_to_all_and_a_dead_one_is_replaced(
    emulator: Emulator, redis: RedisServer
) -> None:
    async with two_workers(emulator, redis, limits__detach_after_seconds="0.05") as (server, numbers):
        slow = {"model": "fault-slow-1s", "data": {"inputs": "x"}}
        call_id = (await call(server.url, "run_model", slow))["structuredContent"]["call_id"]
        # Each over its own connection, which any of the workers accepts.
        known = [await call(server.url, "read_result", {"call_id": call_id}) for _ in range(6)]
        os.kill(numbers[0], signal.SIGKILL)
        begun = await server.read_until(r"worker (\d+) is serving")
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0

    assert not any(result.get("isError") for result in known)
    assert int(begun[1]) not in numbers


async def test_no_spelling_of_the_path_gets_past_the_token_of_several_workers(
    emulator: Emulator, redis: RedisServer
) -> None:
    body, headers = message("tools/call", "legacy", **HOUSE_CHAT)
    settings = {"http__auth": "token", "http__bearer_tokens": f'["{HTTP_TOKEN}"]'}
    async with (
        replica(environment_of(emulator, redis, **settings), *WORKERS) as server,
        httpx.AsyncClient(trust_env=False, headers=headers, timeout=WAIT_SECONDS) as http,
    ):
        base = server.url.removesuffix("/mcp")
        refused = [
            (await http.post(f"{base}{path}", content=body)).status_code
            for path in ("/mcp", "/mcp%0A", "//mcp", "/mcp/", "/%6Dcp", "/healthz%0A", "/")
        ]
        allowed = await http.post(server.url, content=body, headers={"authorization": f"Bearer {HTTP_TOKEN}"})

    assert refused == [401] * 7
    assert allowed.status_code == 200
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_cancel_of_the_handshake_era_reaches_the_call_in_any_worker(
    emulator: Emulator, redis: RedisServer
) -> None:
    _, usual = message("", "legacy")
    headers = {**usual, "mcp-session-id": "0123456789abcdefghijklmnopqrstuv"}

    async def post(method: str, request_id: int | None = None, **params: Any) -> None:
        # Each over its own connection, which any of the workers accepts.
        async with httpx.AsyncClient(timeout=WAIT_SECONDS, headers=headers) as http:
            named = {} if request_id is None else {"id": request_id}
            answer = await http.post(server.url, json={"jsonrpc": "2.0", **named, "method": method, "params": params})
            answer.raise_for_status()

    async with two_workers(emulator, redis) as (server, _), anyio.create_task_group() as group:
        with anyio.fail_after(WAIT_SECONDS):
            for number in range(6):
                group.start_soon(partial(post, "tools/call", number, **SLOW_CALL))
            await emulator.wait_for(lambda _: len(slow_calls(emulator)) == 6, timeout_seconds=WAIT_SECONDS)
            for number in range(6):
                await post("notifications/cancelled", requestId=number)
            for request in slow_calls(emulator):
                await request.wait_aborted()


async def test_workers_finish_a_handed_back_call_and_do_not_outlive_their_supervisor(
    emulator: Emulator, redis: RedisServer
) -> None:
    async with two_workers(emulator, redis, limits__detach_after_seconds="0.05") as (server, _):
        slow = {"model": "fault-slow-1s", "data": {"inputs": "x"}}
        await call(server.url, "run_model", slow)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=WAIT_SECONDS)
        server.signal(signal.SIGKILL)

        # Only the workers have the writing end, so the pipe ends with them.
        with anyio.fail_after(WAIT_SECONDS):
            await server.drain()
    assert not request.aborted
