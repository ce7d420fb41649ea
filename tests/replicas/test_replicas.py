"""Several servers as processes: what they share, and what becomes of calls when one of them ends, dies or hangs."""

import signal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchmarks.faults import faults
from benchmarks.fleet import QUICK
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.replicas.engines import RedisServer, needs_redis
from tests.replicas.replicas import (
    WAIT_SECONDS,
    balanced,
    call,
    environment_of,
    is_ready,
    needs_haproxy,
    replica,
    replicas,
)
from tests.support.connecting import inference_requests
from tests.support.held import HeldAnswers
from tests.support.raw_upstream import raw_upstream

pytestmark = [needs_redis, pytest.mark.anyio]

CHAT = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}}
AT_ONCE = {"limits__detach_after_seconds": "0.05"}


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


async def handed_back(url: str, emulator: Emulator) -> str:
    """Start a call that the model has to work on, and return its handle."""
    result = await call(url, "run_model", CHAT)
    await emulator.wait_for(is_chat, timeout_seconds=WAIT_SECONDS)
    call_id: str = result["structuredContent"]["call_id"]
    return call_id


async def ended(url: str, call_id: str) -> dict[str, Any]:
    """Return the result of a call when it is no longer running."""
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            result = await call(url, "read_result", {"call_id": call_id, "wait_seconds": 5})
            if result.get("structuredContent", {}).get("state") != "running":
                return result


async def healed(url: str, call_id: str) -> dict[str, Any]:
    """Return the result of a lost call when its server is back; a server takes at most 600 tool calls in a minute."""
    with anyio.fail_after(WAIT_SECONDS):
        while (result := await ended(url, call_id)).get("isError"):  # noqa: ASYNC110 - nobody says when it is back
            await anyio.sleep(0.2)
        return result


def error_in(result: dict[str, Any]) -> dict[str, Any]:
    assert result.get("isError"), result
    error: dict[str, Any] = result["_meta"][ERROR_KEY]
    return error


async def calls_counted(url: str) -> int:
    """Return how many calls the budget has counted, by the receipt of one more."""
    result = await call(url, "run_model", CHAT)
    if result["structuredContent"].get("state") == "running":
        result = await ended(url, result["structuredContent"]["call_id"])
    budget: dict[str, Any] = result["_meta"][RECEIPT_KEY]["budget"]
    used: int = budget["all"]["calls"]["used"]
    return used


@needs_haproxy
async def test_a_cap_holds_over_three_replicas_behind_a_load_balancer(
    emulator: Emulator, redis: RedisServer, tmp_path: Path
) -> None:
    environment = environment_of(emulator, redis, budget__calls_per_day="6")
    results: list[dict[str, Any]] = []
    async with replicas(environment, 3) as servers, balanced(servers, tmp_path) as url:

        async def client() -> None:
            results.extend([await call(url, "run_model", CHAT) for _ in range(3)])

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(client)

    refused = [error_in(result)["code"] for result in results if result.get("isError")]
    assert refused == ["budget_exceeded"] * 12
    assert len(inference_requests(emulator.requests)) == 6


@needs_haproxy
async def test_a_handle_is_read_through_a_load_balancer(emulator: Emulator, redis: RedisServer, tmp_path: Path) -> None:
    held = HeldAnswers(emulator)
    environment = environment_of(emulator, redis, shared__lease_seconds="60", **AT_ONCE)
    async with replicas(environment, 2) as servers, balanced(servers, tmp_path) as url:
        call_id = (await call(url, "run_model", CHAT))["structuredContent"]["call_id"]
        states = [
            (await call(url, "read_result", {"call_id": call_id}))["structuredContent"]["state"] for _ in range(4)
        ]
        held.release()
        results = [await ended(url, call_id) for _ in range(4)]

    assert states == ["running"] * 4
    assert {result["structuredContent"]["choices"][0]["message"]["content"] for result in results} == {"At last."}
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_replica_that_is_told_to_end_finishes_its_calls_and_others_have_the_answers(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    environment = environment_of(emulator, redis, shared__lease_seconds="60", **AT_ONCE)
    async with replicas(environment, 2) as (one, other):
        call_id = await handed_back(one.url, emulator)
        (request,) = filter(is_chat, emulator.requests)
        async with httpx.AsyncClient(base_url=one.url.removesuffix("/mcp"), timeout=WAIT_SECONDS) as http:
            assert await is_ready(http, "")
            one.signal(signal.SIGTERM)
            await one.read_until("shutting down")
            drained = await http.get("/readyz")
            refused = await http.post("/mcp", json={})
        assert not request.aborted
        held.release()
        assert await one.ended() == 0
        result = await ended(other.url, call_id)

    assert (drained.status_code, refused.status_code) == (503, 503)
    assert result["structuredContent"]["choices"][0]["message"]["content"] == "At last."
    assert not request.aborted


async def test_a_call_whose_replica_is_killed_is_lost_counted_and_not_sent_again(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    environment = environment_of(emulator, redis, budget__calls_per_day="9", **AT_ONCE)
    async with replicas(environment, 2) as (one, other):
        call_id = await handed_back(one.url, emulator)
        one.signal(signal.SIGKILL)
        result = await ended(other.url, call_id)
        cancelled = await call(other.url, "cancel_call", {"call_id": call_id})
        requests = len(inference_requests(emulator.requests))
        held.release()
        counted = await calls_counted(other.url)

    error = error_in(result)
    assert error["billed"] == "maybe"
    assert not error["retryable"]
    assert "is gone" in error["message"]
    assert error_in(cancelled)["billed"] == "maybe"
    assert requests == 1
    assert counted == 2


async def so_far(url: str, call_id: str) -> str:
    """Return the text so far of a running call."""
    result = await call(url, "read_result", {"call_id": call_id})
    text: str = result["structuredContent"]["so_far"]
    return text


def begun_stream() -> list[bytes]:
    """Return the beginning of an event stream, which stays open."""
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "Thinking of 42"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, b"%x\r\n%s\r\n" % (len(event), event)]


async def test_the_text_so_far_is_read_on_another_replica_and_outlives_the_one_that_got_it(
    emulator: Emulator, redis: RedisServer
) -> None:
    async with raw_upstream({"house-chat": begun_stream}) as url:
        environment = environment_of(emulator, redis, tools__stream="always", **AT_ONCE) | {"BL_RUN_URL": url}
        async with replicas(environment, 2) as (one, other):
            call_id = (await call(one.url, "run_model", CHAT))["structuredContent"]["call_id"]
            with anyio.fail_after(WAIT_SECONDS):
                while await so_far(other.url, call_id) != "Thinking of 42":  # noqa: ASYNC110 - nobody says when it beats
                    await anyio.sleep(0.2)
            one.signal(signal.SIGKILL)
            lost = await ended(other.url, call_id)

    assert error_in(lost)["billed"] == "maybe"
    assert any("Thinking of 42" in block["text"] for block in lost["content"])


async def test_a_replica_that_hung_longer_than_its_leases_heals_and_is_counted_once(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    environment = environment_of(emulator, redis, budget__calls_per_day="9", **AT_ONCE)
    async with replicas(environment, 2) as (one, other):
        call_id = await handed_back(one.url, emulator)
        one.signal(signal.SIGSTOP)
        lost = await ended(other.url, call_id)
        one.signal(signal.SIGCONT)
        held.release()
        result = await healed(other.url, call_id)
        counted = await calls_counted(other.url)

    assert error_in(lost)["billed"] == "maybe"
    assert result["structuredContent"]["choices"][0]["message"]["content"] == "At last."
    assert counted == 2
    assert len(inference_requests(emulator.requests)) == 2


async def test_a_partitioned_replica_goes_on_and_heals(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    with redis.behind_a_gate() as gate:
        environment = environment_of(emulator, redis, budget__calls_per_day="9", **AT_ONCE)
        cut_off = environment | {"BLAXEL_MCP_SHARED__URL": gate.url}
        async with replica(cut_off) as one, replica(environment) as other:
            call_id = await handed_back(one.url, emulator)
            gate.close()
            lost = await ended(other.url, call_id)
            held.release()
            own = await ended(one.url, call_id)
            refused = await call(one.url, "run_model", CHAT)
            gate.open()
            result = await healed(other.url, call_id)
            counted = await calls_counted(other.url)

    assert error_in(lost)["billed"] == "maybe"
    assert own["structuredContent"] == result["structuredContent"]
    assert error_in(refused)["code"] == "budget_exceeded"
    assert counted == 2


async def test_calls_go_on_while_redis_restarts(emulator: Emulator, redis: RedisServer) -> None:
    async with replica(environment_of(emulator, redis, budget__calls_per_day="9")) as server:
        before = await calls_counted(server.url)
        redis.kill()
        refused = await call(server.url, "run_model", CHAT)
        redis.start()
        after = await calls_counted(server.url)

    assert error_in(refused)["code"] == "budget_exceeded"
    assert (before, after) == (1, 2)


@needs_haproxy
def test_no_call_is_sent_or_counted_twice_while_replicas_and_redis_fail_under_load() -> None:
    assert "requests at the upstream" in faults(QUICK)
