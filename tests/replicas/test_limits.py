"""Limits that hold over several servers: no more calls in flight or started than one server would allow."""

import gc

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from blaxel_mcp.budget.shared.engine import Engine
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.progress import Progress
from blaxel_mcp.inference.shared_limits import SharedLimits
from blaxel_mcp.settings.limits import LimitSettings
from tests.replicas.engines import RedisServer, engine_of, leases_in, needs_redis, sharing
from tests.support.connecting import answer_of, connect, inference_requests, leading_to, receipt_of
from tests.support.held import HeldAnswers

pytestmark = [needs_redis, pytest.mark.anyio]

LEASE_SECONDS = 1.0


class Server:
    """The limits of one server, and how many calls it has in flight."""

    def __init__(self, engine: Engine, limits: LimitSettings, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.across = SharedLimits(engine, lease_seconds)
        self.limits = CallLimits(limits, across=self.across)
        self.running = 0
        self.notes: list[str] = []

    async def call(self, until: anyio.Event, *, model: str = "m", most: int | None = None) -> None:
        async with self.limits.slot(CallContext(workspace="w", model=model, notes=self.notes), most):
            self.running += 1
            await until.wait()
            self.running -= 1

    async def has(self, count: int) -> None:
        """Wait until so many calls are in flight."""
        while self.running != count:
            await anyio.lowlevel.checkpoint()


async def test_slots_hold_over_servers_and_all_calls_get_their_turn(redis: RedisServer) -> None:
    end, peak = anyio.Event(), 0
    with engine_of(redis) as one_engine, engine_of(redis) as other_engine:
        servers = [Server(engine, LimitSettings(max_concurrency=3)) for engine in (one_engine, other_engine)]

        async def one(server: Server) -> None:
            nonlocal peak
            async with server.limits.slot(CallContext(workspace="w", model="m"), None):
                server.running += 1
                peak = max(peak, servers[0].running + servers[1].running)
                await anyio.lowlevel.checkpoint()
                server.running -= 1

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, servers[number % 2])
        end.set()
        for server in servers:
            server.across.close()

    assert 0 < peak <= 3


async def test_a_models_own_slots_hold_over_servers_and_leave_others_alone(redis: RedisServer) -> None:
    end = anyio.Event()
    with engine_of(redis) as one_engine, engine_of(redis) as other_engine:
        one, other = (Server(engine, LimitSettings(max_concurrency=4)) for engine in (one_engine, other_engine))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: one.call(end, most=1))
                await one.has(1)
                waiting, narrow = Progress(), anyio.Event()

                async def second() -> None:
                    async with other.limits.slot(CallContext(workspace="w", model="m", progress=waiting), 1):
                        narrow.set()

                group.start_soon(second)
                while not waiting.status:
                    await anyio.lowlevel.checkpoint()
                group.start_soon(lambda: other.call(end, model="wide"))
                await other.has(1)
                assert not narrow.is_set()
                assert waiting.status == "waiting for a free slot on any of the servers"
                end.set()
        for server in (one, other):
            server.across.close()


async def test_starts_in_a_minute_hold_over_servers(redis: RedisServer) -> None:
    limits, end = LimitSettings(calls_per_minute=2), anyio.Event()
    end.set()
    with engine_of(redis) as one_engine, engine_of(redis) as other_engine:
        one, other = Server(one_engine, limits), Server(other_engine, limits)
        await one.call(end)
        await other.call(end)
        waiting = Progress()

        async def third() -> None:
            async with one.limits.slot(CallContext(workspace="w", model="m", progress=waiting), None):
                pytest.fail("it started within the same minute")

        async with anyio.create_task_group() as group:
            group.start_soon(third)
            while not waiting.status:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        for server in (one, other):
            server.across.close()


async def test_the_slots_of_a_dead_server_are_free_after_a_lease(redis: RedisServer) -> None:
    end = anyio.Event()
    with engine_of(redis) as one_engine, engine_of(redis) as other_engine:
        dead = Server(one_engine, LimitSettings(max_concurrency=1))
        alive = Server(other_engine, LimitSettings(max_concurrency=1))
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(dead.call, end)
                await dead.has(1)
                # From here on it renews nothing, like a process that was killed.
                await anyio.to_thread.run_sync(dead.across.close)
                group.start_soon(alive.call, end)
                await alive.has(1)
                end.set()
        alive.across.close()


async def test_callers_who_are_done_leave_nothing_in_the_server(redis: RedisServer) -> None:
    with engine_of(redis) as engine:
        across = SharedLimits(engine, LEASE_SECONDS)
        limits = CallLimits(LimitSettings(), shared=True, across=across)
        locks = []
        for number in range(30):
            async with limits.for_caller(f"caller {number}").slot(CallContext(workspace="w", model="m"), None):
                pass
            locks.append(sum(isinstance(each, anyio.Lock) for each in gc.get_objects()))
        across.close()

    assert locks[-1] == locks[0]


async def test_a_running_call_keeps_its_slot(redis: RedisServer) -> None:
    end = anyio.Event()
    with engine_of(redis) as engine:
        server = Server(engine, LimitSettings(max_concurrency=1))
        async with anyio.create_task_group() as group:
            group.start_soon(server.call, end)
            await server.has(1)
            with redis.client() as client:
                zset = "{blaxel-mcp}:slots::all"
                first = until = leases_in(client, zset)
                while until < first + LEASE_SECONDS * 1000:
                    await anyio.lowlevel.checkpoint()
                    until = leases_in(client, zset)
            end.set()
        server.across.close()


async def test_without_the_engine_a_server_keeps_its_own_limits_and_says_so(
    emulator: Emulator, redis: RedisServer
) -> None:
    config = leading_to(emulator, models=[{"name": "house-chat", "api": "chat-completions"}], shared=sharing(redis))
    redis.kill()
    async with connect(config) as client:
        result = await client.call_tool("house-chat", {"prompt": "Hi"})

    assert not result.is_error
    note = f"the limits held for this server alone: {redis.address} cannot be reached"
    assert note in receipt_of(result)["notes"]


async def test_a_call_that_waits_for_another_server_is_sent_when_that_is_done(
    emulator: Emulator, redis: RedisServer
) -> None:
    held = HeldAnswers(emulator)
    config = leading_to(
        emulator,
        models=[{"name": "house-chat", "api": "chat-completions"}],
        limits={"max_concurrency": 1},
        shared=sharing(redis),
    )
    async with connect(config) as one, connect(config) as other, anyio.create_task_group() as group:
        group.start_soon(one.call_tool, "house-chat", {"prompt": "first"})
        await emulator.wait_for(lambda request: "models/house-chat" in request.path, timeout_seconds=20)
        held.release()
        second = await other.call_tool("house-chat", {"prompt": "second"})

    assert answer_of(second)["choices"]
    assert len(inference_requests(emulator.requests)) == 2
