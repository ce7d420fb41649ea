"""How many calls go on at once, and what becomes of those over it."""

from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from pydantic import SecretStr

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.tenants import Tenants
from blaxel_mcp.settings.limits import LimitSettings
from tests.support.canaries import KEY
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to
from tests.support.held import HeldAnswers

pytestmark = pytest.mark.anyio


class Counter:
    """Counts who has a turn, and the most that ever had one at once."""

    def __init__(self, limits: CallLimits) -> None:
        self.limits = limits
        self.now = self.most = self.done = 0
        self.go = anyio.Event()

    async def one(self, model: str = "m", most: int | None = None) -> None:
        async with self.limits.slot(CallContext(workspace="w", model=model), most):
            self.now += 1
            self.most = max(self.most, self.now)
            await self.go.wait()
            self.now -= 1
        self.done += 1


async def test_no_more_calls_go_on_at_once_than_allowed_and_all_get_their_turn() -> None:
    counter = Counter(CallLimits(LimitSettings(max_concurrency=3)))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(counter.one)
            await anyio.wait_all_tasks_blocked()
            assert counter.now == 3
            counter.go.set()

    assert (counter.most, counter.done) == (3, 20)


async def test_a_models_own_limit_holds_nobody_else_up() -> None:
    counter = Counter(CallLimits(LimitSettings(max_concurrency=4)))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(counter.one, "narrow", 1)
            await anyio.wait_all_tasks_blocked()
            assert counter.now == 1
            for _ in range(3):
                group.start_soon(counter.one, "wide")
            await anyio.wait_all_tasks_blocked()
            assert counter.now == 4
            counter.go.set()

    assert counter.done == 13


async def test_one_call_more_than_the_queue_holds_is_refused_as_busy() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=1, max_queue=2))
    counter = Counter(limits)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(counter.one)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BlaxelError) as caught:
                await counter.one()
            counter.go.set()

    assert (caught.value.code, caught.value.origin, caught.value.billed) == ("busy", "local", "no")
    assert caught.value.retryable
    assert (
        caught.value.message
        == "The call of 'm' was not sent: all slots are taken and the queue is full (max_queue = 2)."
    )
    assert counter.done == 3


async def test_who_gives_up_waiting_takes_no_turn() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=1, max_queue=5))
    counter = Counter(limits)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(counter.one)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(counter.one)
                await anyio.wait_all_tasks_blocked()
                waiting.cancel_scope.cancel()
            counter.go.set()
        await counter.one()

    assert counter.done == 2


async def test_calls_over_the_minutes_number_wait_until_the_minute_is_over() -> None:
    clock, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    limits = CallLimits(LimitSettings(calls_per_minute=2), now=lambda: clock[0], sleep=sleep)
    begun = []
    for wait in (0.0, 10.0, 10.0, 1.0, 1.0):
        clock[0] += wait
        async with limits.slot(CallContext(workspace="w", model="m"), None):
            begun.append(clock[0])

    assert begun == [0.0, 10.0, 60.0, 70.0, 120.0]
    assert slept == [40.0, 9.0, 49.0]


async def test_a_caller_with_many_calls_leaves_half_of_the_slots_and_of_the_queue_to_others() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=4, max_queue=8), shared=True)
    greedy, modest = Counter(limits.for_caller("greedy")), Counter(limits.for_caller("modest"))
    refused = []

    async def one_too_many() -> None:
        try:
            await greedy.one()
        except BlaxelError as error:
            refused.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one_too_many)
            await anyio.wait_all_tasks_blocked()
            assert (greedy.now, len(refused)) == (2, 14)
            for _ in range(3):
                group.start_soon(modest.one)
            await anyio.wait_all_tasks_blocked()
            assert modest.now == 2
            greedy.go.set()
            modest.go.set()

    assert (greedy.most, greedy.done, modest.done) == (2, 6, 3)
    assert {error.code for error in refused} == {"busy"}
    assert all(error.retryable and "Try again" in error.hint for error in refused)
    assert "max_queue" not in str(refused[0])


async def test_callers_who_wait_take_turns_however_many_calls_each_has_waiting() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=1, max_queue=20), shared=True)
    order: list[str] = []

    async def one(caller: str) -> None:
        async with limits.for_caller(caller).slot(CallContext(workspace="w", model="m"), None):
            order.append(caller)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for caller in ("a", "a", "a", "a", "b", "b", "c"):
            group.start_soon(one, caller)

    assert order == ["a", "a", "b", "c", "a", "b", "a"]


async def test_a_models_own_slots_are_shared_in_the_same_way() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=16), shared=True)
    greedy, modest = Counter(limits.for_caller("greedy")), Counter(limits.for_caller("modest"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(greedy.one, "narrow", 2)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(modest.one, "narrow", 2)
            await anyio.wait_all_tasks_blocked()
            assert (greedy.now, modest.now) == (1, 1)
            greedy.go.set()
            modest.go.set()


async def test_a_caller_starts_at_most_half_of_the_minutes_calls() -> None:
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    limits = CallLimits(LimitSettings(calls_per_minute=4), shared=True, now=lambda: clock[0], sleep=sleep)
    begun = []
    for caller in ("greedy", "greedy", "modest", "greedy", "modest"):
        async with limits.for_caller(caller).slot(CallContext(workspace="w", model="m"), None):
            begun.append(clock[0])
    # Each caller has its limits once, as its tenant does.
    greedy = limits.for_caller("greedy")
    clock[0] = 1000.0
    for _ in range(3):
        async with greedy.slot(CallContext(workspace="w", model="m"), None):
            begun.append(clock[0])

    assert begun == [0.0, 0.0, 0.0, 0.0, 60.0, 1000.0, 1000.0, 1060.0]


async def test_the_owner_has_all_slots_and_a_waiter_that_gives_up_leaves_no_trace() -> None:
    limits = CallLimits(LimitSettings(max_concurrency=3, max_queue=5), shared=True)
    owner, other = Counter(limits.for_caller("")), Counter(limits.for_caller("other"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(owner.one)
            await anyio.wait_all_tasks_blocked()
            assert owner.now == 3
            for _ in range(10):
                with anyio.move_on_after(0.01):
                    await other.one()
            owner.go.set()
        other.go.set()
        await other.one()

    assert (owner.done, other.done) == (3, 1)


@pytest.mark.parametrize("caller", [OWNER, Caller("anna", "demo", SecretStr(KEY))], ids=["owner", "own key"])
async def test_an_edit_of_other_settings_forgets_no_call(emulator: Emulator, caller: Caller) -> None:
    held = HeldAnswers(emulator)
    limits = {"max_concurrency": 1, "max_queue": 0}
    call: dict[str, Any] = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "Hi"}]}}
    tenants = Tenants(leading_to(emulator, limits=limits), Environment(), serves_owner=False)
    async with tenants.running(), anyio.create_task_group() as group:
        tenant = await tenants.of(caller)
        group.start_soon(tenant.tools.call, "run_model", call)
        await emulator.wait_for(lambda request: "models/house-chat/v1" in request.path, timeout_seconds=20)
        await tenants.reconfigure(leading_to(emulator, limits={**limits, "timeout_seconds": 99}))
        refused = await tenant.tools.call("run_model", call)
        held.release()

    assert isinstance(refused, types.CallToolResult)
    assert error_of(refused)["code"] == "busy"
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_server_keeps_to_its_limits_and_says_that_it_is_busy(emulator: Emulator) -> None:
    limits = {"max_concurrency": 2, "max_queue": 1, "detach_after_seconds": 0}
    results: list[Any] = []
    held = HeldAnswers(emulator)

    async with connect(leading_to(emulator, limits=limits, discovery={"enabled": False})) as client:

        async def one() -> None:
            results.append(await client.call_tool("house-chat", {"prompt": "Hi"}))
            if len(results) == 3:
                held.release()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(one)

    refused = [result for result in results if result.is_error]
    assert [error_of(result)["code"] for result in refused] == ["busy"] * 3
    assert all(answer_of(result) for result in results if not result.is_error)
    assert len(inference_requests(emulator.requests)) == 3
