"""A slow call: signs of life, a handle in time, one answer, and an end when it is told to."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import mcp_types as types
import pytest

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.tools.calls import KEPT_SECONDS, MOST_KEPT, CallRegistry
from blaxel_mcp.tools.cancel_call import cancel_call_tool
from blaxel_mcp.tools.read_result import read_result_tool
from blaxel_mcp.tools.results.results import ResultPolicy
from blaxel_mcp.tools.store.store import CallStore

pytestmark = pytest.mark.anyio

DONE = types.CallToolResult(content=[types.TextContent(type="text", text="done")])


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def calls(clock: Clock) -> AsyncIterator[CallRegistry]:
    calls = CallRegistry(now=clock, first_beat_seconds=0.001, beat_seconds=0.001)
    with anyio.fail_after(5):
        async with calls.running():
            yield calls


async def at_once() -> types.CallToolResult:
    return DONE


async def test_a_quick_call_is_done_when_it_comes_back_and_leaves_no_handle(calls: CallRegistry) -> None:
    call = await calls.run(Receipt(), at_once, detach_after=50)

    assert call.result is DONE
    assert calls.find(call.call_id) is None


async def test_a_slow_call_is_handed_back_in_time_and_goes_on(calls: CallRegistry, clock: Clock) -> None:
    finish = anyio.Event()

    async def slow() -> types.CallToolResult:
        await finish.wait()
        return DONE

    async def report(_seconds: float, _sentence: str) -> None:
        clock.seconds += 10

    call = await calls.run(Receipt(), slow, detach_after=50, report=report)
    assert not call.done.is_set()
    assert calls.find(call.call_id) is call

    finish.set()
    await calls.wait(call, 50)
    assert call.result is DONE
    assert calls.find(call.call_id) is call


async def test_progress_only_grows_and_shows_the_end_of_the_text(calls: CallRegistry, clock: Clock) -> None:
    receipt = Receipt(model="house-chat")
    told: list[tuple[float, str]] = []
    enough = anyio.Event()

    async def work() -> types.CallToolResult:
        await enough.wait()
        return DONE

    async def report(seconds: float, sentence: str) -> None:
        told.append((seconds, sentence))
        clock.seconds += 2
        receipt.live.text = "x" * 200 + "the end"
        if len(told) == 3:
            enough.set()

    await calls.run(receipt, work, detach_after=0, report=report)

    assert [seconds for seconds, _ in told] == [0.0, 2.0, 4.0]
    assert told[0][1] == "house-chat: waiting for 0 s"
    assert told[1][1].startswith("house-chat: 2 s, 207 characters: ...x")
    assert told[1][1].endswith("the end")


async def test_a_cancelled_request_stops_its_call(calls: CallRegistry) -> None:
    started, stopped = anyio.Event(), anyio.Event()

    async def endless() -> types.CallToolResult:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return DONE

    async with anyio.create_task_group() as group:

        async def request() -> None:
            await calls.run(Receipt(), endless, detach_after=0)

        group.start_soon(request)
        await started.wait()
        group.cancel_scope.cancel()
    await stopped.wait()


async def test_the_end_of_the_server_stops_every_call() -> None:
    stopped = anyio.Event()

    async def endless() -> types.CallToolResult:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return DONE

    calls = CallRegistry(first_beat_seconds=0.001, beat_seconds=0.001)
    with anyio.fail_after(5):
        async with calls.running():
            await calls.run(Receipt(), endless, detach_after=0.01)
    assert stopped.is_set()


async def test_handles_are_bounded_in_number_and_in_age(calls: CallRegistry, clock: Clock) -> None:
    handles = []
    for _ in range(MOST_KEPT + 5):
        finish = anyio.Event()

        async def slow(finish: anyio.Event = finish) -> types.CallToolResult:
            await finish.wait()
            return DONE

        async def report(_seconds: float, _sentence: str) -> None:
            clock.seconds += 1

        call = await calls.run(Receipt(), slow, detach_after=1, report=report)
        finish.set()
        await call.done.wait()
        handles.append(call.call_id)

    assert [calls.find(handle) is None for handle in handles] == [True] * 5 + [False] * MOST_KEPT
    clock.seconds += KEPT_SECONDS + 1
    assert calls.find(handles[-1]) is None


@pytest.mark.parametrize("which", ["read_result", "cancel_call"])
async def test_a_handle_says_that_it_has_expired(calls: CallRegistry, clock: Clock, tmp_path: Path, which: str) -> None:
    finish = anyio.Event()

    async def slow() -> types.CallToolResult:
        await finish.wait()
        return DONE

    async def report(_seconds: float, _sentence: str) -> None:
        clock.seconds += 1

    call = await calls.run(Receipt(), slow, detach_after=1, report=report)
    finish.set()
    await call.done.wait()
    clock.seconds += KEPT_SECONDS + 1
    async with CallStore(spools=tmp_path) as store:
        tools = {
            "read_result": read_result_tool(ResultPolicy(store=store), calls, prefix="", longest_wait=50),
            "cancel_call": cancel_call_tool(calls, prefix=""),
        }
        with pytest.raises(BlaxelError) as expired:
            await tools[which].run({"call_id": call.call_id}, Receipt())
        with pytest.raises(BlaxelError) as unknown:
            await tools[which].run({"call_id": "call_made-up"}, Receipt())

    assert str(expired.value) == (
        f"The handle {call.call_id!r} has expired. A handle is kept for 60 minutes after the end of its call, and the "
        "last 200 of them. Call the model again if its answer is still needed; that is paid for again."
    )
    assert (expired.value.code, expired.value.origin) == ("not_found", "local")
    assert str(unknown.value).startswith("No call 'call_made-up' is known here. Take the call_id ")
    assert (unknown.value.code, unknown.value.origin) == ("not_found", "caller")
