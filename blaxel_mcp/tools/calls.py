"""In-flight calls: waiting with progress, detaching into a background job, polling, cancellation.

A client gives up on a call after its own timeout, even with progress notifications, and a paid answer would be lost. So
a slow call goes on in the server, and the client gets its handle in time.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import mcp_types as types

from blaxel_mcp.budget.shared.engine import SharedStateError
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.handles import HANDLE_SECONDS, MAX_HANDLES, unreachable_call
from blaxel_mcp.tools.results.results import ERROR_KEY
from blaxel_mcp.tools.shared_calls import OwnCall, RemoteCall, Seen, SharedCalls, State

_INTERVALS = (1.0, 5.0)
"""The interval of progress, in seconds: it starts short, since some clients drop the final notification, and doubles up
to the second."""

_MAX_EXPIRED = 2000
"""Handles that are remembered as expired."""

REJOIN_SECONDS = 30.0
"""How long a call with a key goes on over HTTP after its connection is lost: clients repeat it soon."""

CallResult = types.CallToolResult | types.InputRequiredResult
"""The result of a call; the second one asks the client for a person's answer, and never belongs to a handle."""


@dataclass(frozen=True, slots=True)
class Report:
    """Reports the progress of a call to a waiting client.

    `send` takes a number that only grows, a sentence, and the text of the answer so far. It is called at a fixed
    interval; None for one that grows, which is enough for the sentence.
    """

    send: Callable[[float, str, str], Awaitable[None]]
    interval_seconds: float | None = None


class Call:
    """A call of a model that has been started; the `call_id` of its context is the handle.

    `work` returns a result even when it fails or is cancelled, and cancelling `scope` aborts it. `waiters` counts the
    requests that wait for it; one that was handed back counts too.
    """

    def __init__(
        self,
        context: CallContext,
        scope: anyio.CancelScope,
        work: Coroutine[Any, Any, CallResult],
        now: Callable[[], float],
    ) -> None:
        self.context = context
        self._scope = scope
        self.started = now()
        self.ended: float | None = None
        self._now = now
        self.waiters = 0
        self.task = asyncio.create_task(work)
        self.task.add_done_callback(self._end)

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return self.task.done()

    def cancel(self) -> None:
        """Abort the call, upstream too. Its result then says that it was cancelled."""
        self._scope.cancel()

    def cancel_unless_awaited(self) -> None:
        """Abort the call if no request waits for it."""
        if self.waiters <= 0:
            self.cancel()

    async def wait(self, seconds: float | None) -> None:
        """Wait until the call is done, but no longer than this; None waits without a limit."""
        await asyncio.wait((self.task,), timeout=seconds)

    def state(self) -> str:
        """Return the progress of the call in one sentence."""
        progress, model = self.context.progress, self.context.model
        seconds = (self.ended or self._now()) - self.started
        if progress.status:
            return f"{model}: {seconds:.0f} s: {progress.status}"
        if not progress.text:
            return f"{model}: waiting for {seconds:.0f} s"
        return f"{model}: {seconds:.0f} s, {len(progress.text)} characters: ...{progress.text[-80:]}"

    def seen(self) -> Seen:
        """Return the progress of the call for the holders of its handle."""
        return Seen(self.context.model or "", self.state(), self.context.progress.text)

    def _end(self, _: object) -> None:
        self.ended = self._now()
        if self.context.progress.wanted:
            self.context.progress.notify()


class CallRegistry:
    """The calls of one tenant: those in flight, and those that were handed back as handles.

    Args:
        now: A monotonic clock, in seconds.
        intervals: The first and the longest interval between notifications of progress.
        shared: Shows handed-back calls to other servers, under the caller's id `owner`; None if nothing is shared.
        rejoin_seconds: How long a call that a client can ask for again goes on without a request: over HTTP, a
            connection that was cut looks like a cancelled request.

    Attributes:
        recent: The ids of the latest calls, in the order in which they were started.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        intervals: tuple[float, float] = _INTERVALS,
        shared: SharedCalls | None = None,
        owner: str = "",
        rejoin_seconds: float = 0,
    ) -> None:
        self._now = now
        self._intervals = intervals
        self._running: set[Call] = set()
        self._handles: dict[str, Call] = {}
        self._expired: deque[str] = deque(maxlen=_MAX_EXPIRED)
        self.recent: deque[str] = deque(maxlen=MAX_HANDLES)
        self._shared = shared
        self._owner = owner
        self._rejoin_seconds = rejoin_seconds
        self._keyed: dict[tuple[str, str], Call] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> tuple[Call, ...]:
        """The calls that are not done."""
        return tuple(call for call in self._running if not call.done)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Allow calls while the context lasts; those still in flight at its end are cancelled and settled."""
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                for call in self.in_flight:
                    call.cancel()
                for call in self.in_flight:
                    await call.wait(None)
                if self._finishing:
                    await asyncio.wait(self._finishing)

    def start(
        self,
        context: CallContext,
        scope: anyio.CancelScope,
        work: Coroutine[Any, Any, CallResult],
        *,
        key: tuple[str, str] | None = None,
    ) -> Call:
        """Start a call in a task of its own, which may outlive the request; `keyed` finds it by its key until then."""
        call = Call(context, scope, work, self._now)
        if key:
            self._keyed[key] = call
            call.task.add_done_callback(lambda _: self._keyed.pop(key, None))
        self._running.add(call)
        self.recent.append(context.call_id)
        call.task.add_done_callback(lambda _: self._running.discard(call))
        return call

    def keyed(self, key: str, content: str) -> Call | None:
        """Return the call in flight with a key and the same arguments."""
        return self._keyed.get((key, content))

    async def join(self, call: Call, seconds: float, report: Report | None = None, *, may_go_on: bool = False) -> bool:
        """Wait for a call, and cancel it if its request is cancelled and no other request waits for it.

        Return whether it is done after `seconds`; 0 waits without a limit. If not, it goes on, and `find` returns it by
        its handle. `may_go_on` is whether the client can ask for it again: then it goes on without a request for a
        while.
        """
        call.waiters += 1
        try:
            if report is None:
                await asyncio.wait((call.task,), timeout=seconds or None)
            else:
                await self._report(call, seconds, report)
        except BaseException:
            call.waiters -= 1
            if may_go_on and self._rejoin_seconds:
                asyncio.get_running_loop().call_later(self._rejoin_seconds, call.cancel_unless_awaited)
            else:
                call.cancel_unless_awaited()
            raise
        if call.task.done():
            return True
        self._handles[call.context.call_id] = call
        self._expire()
        if self._shared:
            with anyio.CancelScope(shield=True):
                await self._share(call, self._shared)
        return False

    async def _report(self, call: Call, seconds: float, report: Report) -> None:
        """Wait until a call is done, but no longer than this, and report its progress; 0 waits without a limit."""
        deadline = self._now() + (seconds or float("inf"))
        interval, longest = self._intervals if (fixed := report.interval_seconds) is None else (fixed, fixed)
        while not call.done and (remaining := deadline - self._now()) > 0:
            with anyio.move_on_after(min(interval, remaining)):
                await call.context.progress.wait()
            if not call.done:
                await report.send(round(self._now() - call.started, 3), call.state(), call.context.progress.text)
            interval = min(2 * interval, longest)

    def find(self, call_id: str) -> Call | None:
        """Return the call with this handle; None if it was never handed back, or has expired."""
        self._expire()
        return self._handles.get(call_id)

    async def elsewhere(self, call_id: str, seconds: float = 0, *, cancels: bool = False) -> RemoteCall | None:
        """Return another server's call, after up to `seconds` or its cancellation; None if no server knows it.

        Raises:
            BlaxelError: The shared state cannot be used.
        """
        if self._shared is None:
            return None
        try:
            if cancels:
                return await self._shared.cancel(self._owner, call_id)
            return await self._shared.wait(self._owner, call_id, seconds)
        except SharedStateError as error:
            raise unreachable_call(call_id, error) from None

    async def _share(self, call: Call, shared: SharedCalls) -> None:
        context, loop = call.context, asyncio.get_running_loop()
        own = OwnCall(look=call.seen, cancel=partial(loop.call_soon_threadsafe, call.cancel))

        async def finish() -> None:
            await call.wait(None)
            result = call.task.result()
            assert isinstance(result, types.CallToolResult), "a handle asks nobody"
            state: State = "failed" if result.is_error else "done"
            if (result.meta or {}).get(ERROR_KEY, {}).get("code") == "cancelled":
                state = "cancelled"
            text = result.model_dump_json(by_alias=True, exclude_none=True)
            await shared.finish(self._owner, context.call_id, state, text)

        await shared.publish(self._owner, context.call_id, own)
        task = asyncio.create_task(finish())
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    def has_expired(self, call_id: str) -> bool:
        """Return whether there was a handle of this id that has expired."""
        self._expire()
        return call_id in self._expired

    def _expire(self) -> None:
        ended = [(call_id, call.ended) for call_id, call in self._handles.items() if call.ended is not None]
        expired = [call_id for call_id, at in ended if self._now() - at > HANDLE_SECONDS]
        surplus = max(0, len(self._handles) - len(expired) - MAX_HANDLES)
        oldest = [call_id for call_id, _ in ended if call_id not in expired][:surplus]
        for call_id in (*expired, *oldest):
            del self._handles[call_id]
            self._expired.append(call_id)
