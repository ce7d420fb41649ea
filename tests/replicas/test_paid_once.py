"""A call that carries a key is paid once over several servers."""

from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from pydantic import SecretStr

from blaxel_mcp.budget.shared.state import Cipher, SharedState
from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.tools.store.call_keys import SharedKeys
from tests.replicas.engines import SHARED_KEY, RedisServer, engine_of, needs_redis, sharing
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of
from tests.support.held import HeldAnswers
from tests.support.leaks import Client

pytestmark = [needs_redis, pytest.mark.anyio]

CHAT = {"name": "house-chat", "api": "chat-completions"}
QUESTION = "What is the house sauce?"
KEYED = {
    "model": "house-chat",
    "data": {"messages": [{"role": "user", "content": QUESTION}]},
    "call_key": "question 7",
}


def is_chat(request: RecordedRequest) -> bool:
    return "models/house-chat" in request.path and not request.path.startswith("/v0/")


async def test_a_call_is_joined_replayed_and_refused_on_another_server(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60)), []
    async with connect(config) as one, connect(config) as other:

        async def call(client: Client) -> None:
            result = await client.call_tool("run_model", KEYED)
            assert answer_of(result)["choices"][0]["message"]["content"] == "At last."
            replays.append(receipt_of(result)["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call, one)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            group.start_soon(call, other)
            held.release()
        await call(other)
        refused = await other.call_tool("run_model", {**KEYED, "data": {}})
        with redis.client() as client:
            kept = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))

    assert sorted(replays) == [False, True, True]
    assert error_of(refused)["code"] == "invalid_arguments"
    assert len(inference_requests(emulator.requests)) == 1
    for secret in (QUESTION, "At last.", SHARED_KEY):
        assert secret.encode() not in kept


async def test_servers_that_get_a_call_at_the_same_moment_make_it_once(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60)), []
    async with connect(config) as one, connect(config) as other, connect(config) as third:

        async def call(client: Client) -> None:
            replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

        async with anyio.create_task_group() as group:
            for client in (one, other, third, one, other, third):
                group.start_soon(call, client)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            held.release()

    assert sorted(replays) == [False] + [True] * 5
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_key_is_kept_for_a_day_and_then_the_call_is_made_again(emulator: Emulator, redis: RedisServer) -> None:
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))
    async with connect(config) as client:
        await client.call_tool("run_model", KEYED)
        with redis.client() as engine:
            (key,) = engine.scan_iter("{blaxel-mcp}:key:*")
            seconds = engine.ttl(key)
            engine.pexpire(key, 1)
            while engine.exists(key):
                pass
        again = await client.call_tool("run_model", KEYED)

    assert 86_000 < seconds <= 86_400
    assert not receipt_of(again)["replayed"]
    assert len(inference_requests(emulator.requests)) == 2


async def test_a_failed_call_is_made_again_on_another_server_only_if_it_was_not_billed(
    emulator: Emulator, redis: RedisServer
) -> None:
    unpaid = {**KEYED, "model": "no-such-model", "call_key": "unpaid"}
    maybe = {"model": "fault-truncated", "data": {"inputs": "x"}, "call_key": "maybe"}
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))
    async with connect(config) as one, connect(config) as other:
        results = [await client.call_tool("run_model", call) for call in (unpaid, maybe) for client in (one, other)]

    first, second, third, fourth = results
    assert error_of(first)["billed"] == error_of(second)["billed"] == "no"
    assert receipt_of(first)["call_id"] != receipt_of(second)["call_id"]
    assert error_of(third)["billed"] == "maybe"
    assert error_of(fourth) == error_of(third)
    assert receipt_of(fourth)["call_id"] == receipt_of(third)["call_id"]
    assert [b"truncated" in request.path.encode() for request in inference_requests(emulator.requests)].count(True) == 1


async def test_a_result_that_the_engine_could_not_take_is_repeated_when_it_is_back(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    config, results = (
        leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60)),
        list[types.CallToolResult](),
    )
    async with connect(config) as one, connect(config) as other:

        async def call() -> None:
            results.append(await one.call_tool("run_model", KEYED))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            redis.kill()
            held.release()
        redis.start()
        repeated = [await client.call_tool("run_model", KEYED) for client in (one, other)]

    assert [receipt_of(result)["replayed"] for result in (*results, *repeated)] == [False, True, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_that_was_not_billed_may_be_made_again_when_the_engine_is_back(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    budget = {"calls_per_day": 9, "ledger": redis.url}
    config, results = leading_to(emulator, models=[CHAT], shared=sharing(redis), budget=budget), list[Any]()
    slot = {"max_concurrency": 1}
    with redis.behind_a_gate() as gate:
        cut_off = leading_to(
            emulator, models=[CHAT], shared=sharing(redis, url=gate.url), budget={"calls_per_day": 9}, limits=slot
        )
        async with connect(cut_off) as one, connect(config) as other:

            async def call(arguments: dict[str, Any]) -> None:
                results.append(await one.call_tool("run_model", arguments))

            async with anyio.create_task_group() as group:
                group.start_soon(call, {**KEYED, "call_key": "first"})
                await emulator.wait_for(is_chat, timeout_seconds=20)
                group.start_soon(call, KEYED)
                with redis.client() as engine:
                    while len(list(engine.scan_iter("{blaxel-mcp}:key:*"))) < 2:
                        await anyio.lowlevel.checkpoint()
                gate.close()
                held.release()
            gate.open()
            again = await other.call_tool("run_model", KEYED)

    refused = [result for result in results if result.is_error]
    assert [error_of(result)["billed"] for result in refused] == ["no"]
    assert not again.is_error
    assert len(inference_requests(emulator.requests)) == 2


async def test_without_the_engine_a_repetition_joins_the_running_call_of_its_server(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60)), []
    redis.kill()
    async with connect(config) as client:

        async def call() -> None:
            replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            group.start_soon(call)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            held.release()

    assert sorted(replays) == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_without_the_engine_a_running_call_keeps_its_key_from_others(
    emulator: Emulator, redis: RedisServer
) -> None:
    held, results = HeldAnswers(emulator), list[types.CallToolResult]()
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))
    async with connect(config) as client:

        async def call() -> None:
            results.append(await client.call_tool("run_model", KEYED))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            redis.kill()
            refused = await client.call_tool("run_model", {**KEYED, "data": {}})
            held.release()

    assert error_of(refused)["code"] == "invalid_arguments"
    assert receipt_of(results[0])["call_id"] in text_of(refused)
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_that_was_made_without_the_engine_is_not_made_again(
    emulator: Emulator, redis: RedisServer
) -> None:
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))
    redis.kill()
    async with connect(config) as one, connect(config) as other:
        first, away = [await one.call_tool("run_model", KEYED) for _ in range(2)]
        refused = await one.call_tool("run_model", {**KEYED, "data": {}})
        redis.start()
        back = [await client.call_tool("run_model", KEYED) for client in (one, other)]

    assert [receipt_of(result)["replayed"] for result in (first, away, *back)] == [False, True, True, True]
    assert error_of(refused)["code"] == "invalid_arguments"
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_running_call_takes_its_key_when_the_engine_is_back(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis)), []
    redis.kill()
    async with connect(config) as one, connect(config) as other:

        async def call(client: Client) -> None:
            replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call, one)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            redis.start()
            with redis.client() as engine, anyio.fail_after(30):
                while not list(engine.scan_iter("{blaxel-mcp}:key:*")):
                    await anyio.lowlevel.checkpoint()
            group.start_soon(call, other)
            held.release()

    assert sorted(replays) == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_repetition_is_not_paid_again_while_the_engine_is_away_and_the_first_call_runs(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60)), []
    with redis.behind_a_gate() as gate, redis.client() as engine:
        cut_off = leading_to(emulator, models=[CHAT], shared=sharing(redis, url=gate.url, lease_seconds=60))
        async with connect(config) as one, connect(cut_off) as other:

            async def call(client: Client) -> None:
                replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

            async with anyio.create_task_group() as group:
                group.start_soon(call, one)
                await emulator.wait_for(is_chat, timeout_seconds=20)
                looks = looks_at_keys(engine)
                group.start_soon(call, other)
                # At its second look, it has the answer to the first one.
                while looks_at_keys(engine) < looks + 2:
                    await anyio.lowlevel.checkpoint()
                gate.close()
                while not gate.refused:
                    await anyio.lowlevel.checkpoint()
                gate.open()
                looks = looks_at_keys(engine)
                while looks_at_keys(engine) == looks:
                    await anyio.lowlevel.checkpoint()
                held.release()

    assert sorted(replays) == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


def looks_at_keys(engine: Any) -> int:
    """Return how often servers have tried to take a key."""
    calls: int = engine.info("commandstats")["cmdstat_hmget"]["calls"]
    return calls


async def test_a_call_whose_key_another_server_took_meanwhile_is_not_sent(
    emulator: Emulator, redis: RedisServer
) -> None:
    held, results, waits = HeldAnswers(emulator), list[types.CallToolResult](), anyio.Event()
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's signature
        if "waiting for a free slot" in (message or ""):
            waits.set()

    with redis.behind_a_gate() as gate:
        cut_off = leading_to(
            emulator,
            models=[CHAT],
            shared=sharing(redis, url=gate.url, lease_seconds=60),
            limits={"max_concurrency": 1},
        )
        async with connect(cut_off) as one, connect(config) as other:

            async def call(client: Client, key: str) -> None:
                arguments = {**KEYED, "call_key": key}
                results.append(await client.call_tool("run_model", arguments, progress_callback=on_progress))

            async with anyio.create_task_group() as group:
                group.start_soon(call, one, "first")
                await emulator.wait_for(is_chat, timeout_seconds=20)
                gate.close()
                group.start_soon(call, one, "second")
                await waits.wait()
                group.start_soon(call, other, "second")
                while len(inference_requests(emulator.requests)) < 2:
                    await anyio.lowlevel.checkpoint()
                gate.open()
                held.release()
            repeated = await one.call_tool("run_model", {**KEYED, "call_key": "second"})

    (refused,) = [result for result in results if result.is_error]
    assert error_of(refused)["billed"] == "no"
    assert error_of(refused)["retryable"]
    assert receipt_of(repeated)["replayed"]
    assert len(inference_requests(emulator.requests)) == 2


async def test_a_key_that_the_engine_lost_is_taken_again_while_its_call_runs(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis)), []
    async with connect(config) as one, connect(config) as other:

        async def call(client: Client) -> None:
            replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call, one)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            redis.empty()
            with redis.client() as engine, anyio.fail_after(30):
                while not list(engine.scan_iter("{blaxel-mcp}:key:*")):
                    await anyio.lowlevel.checkpoint()
            group.start_soon(call, other)
            held.release()

    assert sorted(replays) == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_result_is_kept_although_the_engine_lost_its_key(emulator: Emulator, redis: RedisServer) -> None:
    held = HeldAnswers(emulator)
    # Its leases are renewed too late to matter.
    config, replays = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=300)), []
    async with connect(config) as one, connect(config) as other:

        async def call(client: Client) -> None:
            replays.append(receipt_of(await client.call_tool("run_model", KEYED))["replayed"])

        async with anyio.create_task_group() as group:
            group.start_soon(call, one)
            await emulator.wait_for(is_chat, timeout_seconds=20)
            redis.empty()
            held.release()
        await call(other)

    assert replays == [False, True]
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_result_that_another_server_cannot_decrypt_is_not_paid_again(
    emulator: Emulator, redis: RedisServer
) -> None:
    settings = sharing(redis, lease_seconds=60)
    with_other_key = {**settings, "key": SHARED_KEY[::-1]}
    async with (
        connect(leading_to(emulator, models=[CHAT], shared=settings)) as one,
        connect(leading_to(emulator, models=[CHAT], shared=with_other_key)) as other,
    ):
        first = await one.call_tool("run_model", KEYED)
        second = await other.call_tool("run_model", KEYED)

    assert not first.is_error
    assert error_of(second)["billed"] == "yes"
    assert receipt_of(first)["call_id"] in text_of(second)
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_call_is_made_without_the_engine_and_says_what_that_means(
    emulator: Emulator, redis: RedisServer
) -> None:
    config = leading_to(emulator, models=[CHAT], shared=sharing(redis, lease_seconds=60))
    redis.kill()
    async with connect(config) as client:
        result = await client.call_tool("run_model", KEYED)

    assert not result.is_error
    assert any("a repetition of this call would be paid again" in note for note in receipt_of(result)["notes"])


def test_a_lost_call_is_taken_over_once_and_its_late_result_is_not_taken(redis: RedisServer) -> None:
    with engine_of(redis) as engine:
        cipher = Cipher(SecretStr(SHARED_KEY))
        dead, alive = (SharedKeys(SharedState(engine, cipher, lease)) for lease in (0, 10))
        dead.claim("key", "arguments", "call_1")
        lost = alive.claim("key", "arguments", "call_2")
        taken = alive.claim("key", "arguments", "call_2", again=True)
        running = alive.claim("key", "arguments", "call_3", again=True)
        dead.finish("key", "call_1", "{}")
        still = alive.claim("key", "arguments", "call_3")
        alive.finish("key", "call_2", "[]")
        done = alive.claim("key", "arguments", "call_3", again=True)

    assert [claim.state for claim in (lost, taken, running, still)] == ["lost", "new", "running", "running"]
    assert (done.state, done.call_id, done.result) == ("done", "call_2", "[]")
