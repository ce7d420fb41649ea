"""Calls in flight: waited for with signs of life, handed back as a handle, asked for again, stopped.

A client gives up on a call after its own time, whatever progress says, and would leave a paid
answer to nobody. So a slow call goes on in the server, and its handle goes back in time.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc
import mcp_types as types

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.tools.results.results import error_result

FIRST_BEAT_SECONDS = 1.0
BEAT_SECONDS = 5.0
"""When a waiting client hears of a call: early at first, since some drop the last word, then at most so far apart."""

MOST_KEPT = 200
KEPT_SECONDS = 3600.0
"""How many calls that were handed back are kept, and for how long after their end."""

_MOST_EXPIRED = 2000
"""Handles of which it is remembered that they were given, once their call is forgotten."""

Work = Callable[[], Awaitable[types.CallToolResult]]
Report = Callable[[float, str], Awaitable[None]]
"""Tells the client of progress: a figure that only grows, and a sentence."""


@dataclass(slots=True, eq=False)
class Call:
    """One call of a model.

    Attributes:
        receipt: Its receipt, filled in while it goes on.
        result: What came of it, once `done`.
    """

    receipt: Receipt
    started: float
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    result: types.CallToolResult | None = None
    ended: float | None = None

    @property
    def failed(self) -> bool:
        """Whether it has ended without an answer."""
        return self.done.is_set() and (self.result is None or bool(self.result.is_error))

    @property
    def call_id(self) -> str:
        """The handle; unguessable."""
        return self.receipt.call_id


class CallRegistry:
    """The calls of one server.

    Args:
        now: A monotonic clock, in seconds.
        first_beat_seconds: When a waiting client first hears of its call.
        beat_seconds: How far apart the later times are; each is twice as far from the one before, up to this.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        first_beat_seconds: float = FIRST_BEAT_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._now = now
        self._beats = (first_beat_seconds, beat_seconds)
        self._group: anyio.abc.TaskGroup | None = None
        self._running: set[Call] = set()
        self._detached: dict[str, Call] = {}
        self._expired: deque[str] = deque(maxlen=_MOST_EXPIRED)

    @property
    def in_flight(self) -> tuple[Call, ...]:
        """The calls that have not ended."""
        return tuple(self._running)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let calls run while the context lasts; those still running at its end are stopped."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                self._group = None

    async def run(self, receipt: Receipt, work: Work, *, detach_after: float, report: Report | None = None) -> Call:
        """Start a call and wait for it: until it is done, or for `detach_after` seconds (0: without end).

        Returns:
            The call. If it is not done it goes on, and is found by its handle from now on.
        """
        assert self._group is not None, "calls run inside of `running`"
        call = Call(receipt, self._now())
        self._group.start_soon(self._work, call, work)
        try:
            await self.wait(call, detach_after or float("inf"), report)
        except BaseException:
            call.scope.cancel()
            raise
        if not call.done.is_set():
            self._detached[call.call_id] = call
        return call

    async def wait(self, call: Call, seconds: float, report: Report | None = None) -> None:
        """Wait until a call is done, for so many seconds at most, with signs of life."""
        until, beat = self._now() + seconds, self._beats[0]
        while not call.done.is_set() and (left := until - self._now()) > 0:
            with anyio.move_on_after(min(beat, left)):
                await call.receipt.live.stirred.wait()
            if report and not call.done.is_set():
                await report(round(self._now() - call.started, 1), self.state(call))
            beat = min(2 * beat, self._beats[1])

    def find(self, call_id: str) -> Call | None:
        """A call that was handed back, unless it was too long ago."""
        self._forget()
        return self._detached.get(call_id)

    def has_expired(self, call_id: str) -> bool:
        """Whether a call was handed back by this id, too long ago."""
        self._forget()
        return call_id in self._expired

    def state(self, call: Call) -> str:
        """How far a call is, in a sentence."""
        seconds = (call.ended or self._now()) - call.started
        text, waits = call.receipt.live.text, call.receipt.live.waits
        if waits:
            return f"{call.receipt.model}: {seconds:.0f} s: {waits}"
        if not text:
            return f"{call.receipt.model}: waiting for {seconds:.0f} s"
        return f"{call.receipt.model}: {seconds:.0f} s, {len(text)} characters: ...{text[-80:]}"

    async def _work(self, call: Call, work: Work) -> None:
        self._running.add(call)
        try:
            with call.scope:
                call.result = await work()
        finally:
            self._running.discard(call)
            call.ended = self._now()
            call.done.set()
            call.receipt.live.stir()

    def _forget(self) -> None:
        ended = [call for call in self._detached.values() if call.ended is not None]
        expired = [call for call in ended if self._now() - (call.ended or 0) > KEPT_SECONDS]
        surplus = max(0, len(self._detached) - len(expired) - MOST_KEPT)
        for call in (*expired, *[call for call in ended if call not in expired][:surplus]):
            del self._detached[call.call_id]
            self._expired.append(call.call_id)


def finished_result(call: Call) -> types.CallToolResult:
    """The result of a call that has ended."""
    return call.result or error_result(_cancelled(call), call.receipt)


def _cancelled(call: Call) -> BlaxelError:
    sent = call.receipt.trace.sent
    return BlaxelError(
        "The call was stopped before its answer was complete.",
        code="cancelled",
        origin="caller",
        hint=f"Call the model again for an answer{'; that is paid for again' if sent else ''}.",
        billed="maybe" if sent else "no",
    )
