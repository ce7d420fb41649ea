"""A slow call: signs of life, a handle in time, one answer, and an end when it is told to."""

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
import pytest
from pydantic import SecretStr

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.budget.shared.engine import SharedStateError
from blaxel_mcp.budget.shared.state import Cipher, SharedState
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.call_tools import cancel_call_tool, read_result_tool
from blaxel_mcp.tools.calls import Call, CallRegistry, Report
from blaxel_mcp.tools.handles import AUTO_DETACH_SECONDS, HANDLE_SECONDS, MAX_HANDLES, detach_seconds
from blaxel_mcp.tools.registry import Tool, ToolRegistry
from blaxel_mcp.tools.results.results import ResultPolicy
from blaxel_mcp.tools.shared_calls import OwnCall, Seen, SharedCalls
from blaxel_mcp.tools.store.store import CallStore

pytestmark = pytest.mark.anyio

DONE = types.CallToolResult(content=[types.TextContent(type="text", text="done")])
CANCELLED = types.CallToolResult(content=[types.TextContent(type="text", text="cancelled")], is_error=True)

Work = Callable[[], Awaitable[types.CallToolResult]]


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
    calls = CallRegistry(now=clock, intervals=(0.001, 0.001))
    with anyio.fail_after(30):
        async with calls.running():
            yield calls


async def run(
    calls: CallRegistry, context: CallContext, work: Work, *, detach_after: float, report: Report | None = None
) -> Call:
    """Start a call and wait for it as `ToolRegistry.call` does."""
    call = calls.start(context, scope := anyio.CancelScope(), cancellable(scope, work))
    await calls.join(call, detach_after, report)
    return call


async def cancellable(scope: anyio.CancelScope, work: Work) -> types.CallToolResult:
    with scope:
        return await work()
    return CANCELLED


async def at_once() -> types.CallToolResult:
    return DONE


async def test_a_quick_call_is_done_when_it_comes_back_and_leaves_no_handle(calls: CallRegistry) -> None:
    call = await run(calls, CallContext(), at_once, detach_after=50)

    assert call.task.result() is DONE
    assert calls.find(call.context.call_id) is None


async def test_a_slow_call_is_handed_back_in_time_and_goes_on(calls: CallRegistry, clock: Clock) -> None:
    finish = anyio.Event()

    async def slow() -> types.CallToolResult:
        await finish.wait()
        return DONE

    async def report(_seconds: float, _sentence: str, _text: str) -> None:
        clock.seconds += 10

    call = await run(calls, CallContext(), slow, detach_after=50, report=Report(report))
    assert not call.done
    assert calls.find(call.context.call_id) is call

    finish.set()
    await call.wait(50)
    assert call.task.result() is DONE
    assert calls.find(call.context.call_id) is call


@pytest.mark.parametrize(
    ("setting", "client", "is_handed_back"),
    [
        pytest.param("auto", "claude-code", False, id="Claude Code, which waits in the background"),
        pytest.param("auto", "claude-ai", True, id="Claude Desktop"),
        pytest.param("auto", "claude-code-fork", True, id="an unknown client"),
        pytest.param("auto", "", True, id="a client without a name"),
        pytest.param(50, "claude-code", True, id="a number, for each client"),
        pytest.param(0, "claude-ai", False, id="never"),
    ],
)
async def test_the_client_decides_whether_a_slow_call_is_handed_back(
    calls: CallRegistry, clock: Clock, setting: float | str, client: str, is_handed_back: bool
) -> None:
    finish = anyio.Event()

    async def slow(_: JSONObject, __: CallContext) -> types.CallToolResult:
        await finish.wait()
        return DONE

    async def report(_seconds: float, _sentence: str, _text: str) -> None:
        clock.seconds += 30
        if clock.seconds > 600:
            finish.set()

    schema = {"type": "object", "properties": {}}
    tool = Tool(
        types.Tool(name="slow", input_schema=schema), ArgumentValidator(schema, owner="It"), slow, calls_a_model=True
    )
    registry = ToolRegistry(calls)
    registry.replace([tool], Settings.model_validate({"limits": {"detach_after_seconds": setting}}))
    result = await registry.call("slow", {}, Report(report), client)

    assert (result is not DONE) is is_handed_back
    assert clock.seconds < 100 if is_handed_back else clock.seconds > 600


def test_a_client_that_hears_nothing_gets_a_handle_whatever_its_name() -> None:
    assert detach_seconds(Settings(), "claude-code", reports=False) == AUTO_DETACH_SECONDS


async def test_progress_only_grows_and_shows_the_end_of_the_text(calls: CallRegistry, clock: Clock) -> None:
    context = CallContext(model="house-chat")
    told: list[tuple[float, str]] = []
    enough = anyio.Event()

    async def work() -> types.CallToolResult:
        await enough.wait()
        return DONE

    async def report(seconds: float, sentence: str, _text: str) -> None:
        told.append((seconds, sentence))
        clock.seconds += 2
        context.progress.source = lambda: "x" * 200 + "the end"
        if len(told) == 3:
            enough.set()

    await run(calls, context, work, detach_after=0, report=Report(report))

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
            await run(calls, CallContext(), endless, detach_after=0)

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

    calls = CallRegistry(intervals=(0.001, 0.001))
    with anyio.fail_after(30):
        async with calls.running():
            await run(calls, CallContext(), endless, detach_after=0.01)
    assert stopped.is_set()


async def test_handles_are_bounded_in_number_and_in_age(calls: CallRegistry, clock: Clock) -> None:
    handles = []
    for _ in range(MAX_HANDLES + 5):
        finish = anyio.Event()

        async def slow(finish: anyio.Event = finish) -> types.CallToolResult:
            await finish.wait()
            return DONE

        async def report(_seconds: float, _sentence: str, _text: str) -> None:
            clock.seconds += 1

        call = await run(calls, CallContext(), slow, detach_after=1, report=Report(report))
        finish.set()
        await call.wait(None)
        handles.append(call.context.call_id)

    assert [calls.find(handle) is None for handle in handles] == [True] * 5 + [False] * MAX_HANDLES
    clock.seconds += HANDLE_SECONDS + 1
    assert calls.find(handles[-1]) is None


async def test_results_of_handles_that_nobody_reads_do_not_pile_up(calls: CallRegistry) -> None:
    results = []
    for _ in range(MAX_HANDLES + 5):
        finish = anyio.Event()

        async def slow(finish: anyio.Event = finish) -> types.CallToolResult:
            await finish.wait()
            return types.CallToolResult(content=[])

        call = await run(calls, CallContext(), slow, detach_after=0.0001)
        finish.set()
        await call.wait(None)
        results.append(weakref.ref(call.task.result()))
        del call
    gc.collect()

    assert sum(result() is not None for result in results) <= MAX_HANDLES + 1


class Away:
    """An engine that cannot be used until it is back, and the number of results that it has then got."""

    def __init__(self) -> None:
        self.is_back = False
        self.results = 0

    def run(self, _: str, keys: Sequence[str], *__: object) -> None:
        if not self.is_back:
            raise SharedStateError("away")
        # A beat has the key of the caller's last call too.
        self.results += len(keys) == 1

    def listen(self, _: object) -> None:
        pass


async def test_results_of_handles_do_not_pile_up_while_the_shared_state_is_away() -> None:
    engine: Any = Away()
    shared = SharedCalls(SharedState(engine, Cipher(SecretStr("k" * 64)), 0.03))
    for number in range(MAX_HANDLES + 5):
        own = OwnCall(look=Seen, cancel=lambda: None)
        await shared.publish("anna", f"call_{number}", own)
        await shared.finish("anna", f"call_{number}", "done", "{}")
    engine.is_back = True
    with anyio.fail_after(30):
        await shared.wait_idle()
    await anyio.to_thread.run_sync(shared.close)

    assert engine.results == MAX_HANDLES


@pytest.mark.parametrize("which", ["read_result", "cancel_call"])
async def test_a_handle_says_that_it_has_expired(calls: CallRegistry, clock: Clock, tmp_path: Path, which: str) -> None:
    finish = anyio.Event()

    async def slow() -> types.CallToolResult:
        await finish.wait()
        return DONE

    async def report(_seconds: float, _sentence: str, _text: str) -> None:
        clock.seconds += 1

    call = await run(calls, CallContext(), slow, detach_after=1, report=Report(report))
    finish.set()
    await call.wait(None)
    clock.seconds += HANDLE_SECONDS + 1
    async with CallStore(spools=tmp_path) as store:
        tools = {
            "read_result": read_result_tool(ResultPolicy(store=store, settings=Settings()), calls),
            "cancel_call": cancel_call_tool(calls, prefix=""),
        }
        with pytest.raises(BlaxelError) as expired:
            await tools[which].run({"call_id": call.context.call_id}, CallContext())
        with pytest.raises(BlaxelError) as unknown:
            await tools[which].run({"call_id": "call_made-up"}, CallContext())

    assert str(expired.value) == (
        f"The handle {call.context.call_id!r} has expired. The last 200 handles are kept, each for 60 minutes after "
        "its call ended. Call the model again if you still need the answer; you will be billed again."
    )
    assert (expired.value.code, expired.value.origin, expired.value.billed) == ("not_found", "local", "yes")
    assert "no call 'call_made-up'" in str(unknown.value).lower()
    assert (unknown.value.code, unknown.value.origin, unknown.value.billed) == ("not_found", "caller", "maybe")
