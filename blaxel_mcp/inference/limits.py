"""Concurrency and rate limits, and the share of each caller when several share a server."""

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from functools import partial

import anyio

from blaxel_mcp.budget.shared.engine import hashed
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.semaphores import FairSemaphore, RateLimiter
from blaxel_mcp.inference.shared_limits import SharedLimits
from blaxel_mcp.settings.limits import LimitSettings


class CallLimits:
    """Limits model calls: concurrent calls, concurrent calls per model, calls per minute.

    Waiting callers get their turns one after the other, however many calls each has in the queue. If the limits are
    shared, one caller holds at most half of the slots and starts at most half of the calls per minute. It may queue
    more calls only while the queue has more places left than it occupies. So no caller can fill the server.

    Args:
        limits: `max_concurrency`, `calls_per_minute` and `max_queue`.
        shared: Whether several callers share the limits.
        across: Counts the calls of all servers together, but for `max_queue`; None to count those of this server.
        scope: Whose calls those are; empty for those that spend the owner's credentials.
        now: A monotonic clock, in seconds.

    Attributes:
        figures: Everything in the settings that the limits depend on.
        all_slots: The slots of all calls; limits that count together share them.
    """

    def __init__(
        self,
        limits: LimitSettings,
        *,
        shared: bool = False,
        across: SharedLimits | None = None,
        scope: str = "",
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.figures = limits.max_concurrency, limits.calls_per_minute, limits.max_queue, shared
        self._limits = limits
        self._shared = shared
        self._across = across
        self._scope = scope
        self._now = now
        self._sleep = sleep
        self._caller = ""
        self.all_slots = self._slots(limits.max_concurrency)
        self._models: dict[tuple[str | None, str | None, int], FairSemaphore] = {}
        self._rates = [RateLimiter(limits.calls_per_minute, now, sleep)] if limits.calls_per_minute else []
        self._queued: Counter[str] = Counter()

    @property
    def queued(self) -> int:
        """How many calls wait for a slot, those of all callers together."""
        return self._queued.total()

    def continuing(self, earlier: "CallLimits | None") -> "CallLimits":
        """Return earlier limits if they are the same as these, so that an edit of other settings forgets no call."""
        return earlier if earlier and earlier.figures == self.figures else self

    def for_caller(self, caller: str) -> "CallLimits":
        """Return the limits as they apply to one caller, empty for the owner; all callers' calls count together."""
        limits = copy(self)
        limits._caller = caller  # noqa: SLF001 - a copy of this object
        if self._shared and caller and (per_minute := self._limits.calls_per_minute):
            limits._rates = [RateLimiter(_half(per_minute), self._now, self._sleep), *self._rates]  # noqa: SLF001 - the same
        return limits

    @asynccontextmanager
    async def slot(self, context: CallContext, limit: int | None) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the context lasts.

        The limit is the model's own `max_concurrency`. The notes get a sentence if the calls of other servers could not
        be counted.

        Raises:
            BlaxelError: `busy`: the queue, or the caller's share of it, is full.
        """
        semaphores = [self.all_slots]
        if limit is not None:
            # Acquired first, so that a call that waits for its model's slot does not hold a global one.
            key = (context.workspace, context.model, limit)
            semaphores.insert(0, self._models.setdefault(key, self._slots(limit)))
        caller, progress = self._caller, context.progress
        is_free = all(semaphore.is_free(caller) for semaphore in semaphores)
        waits = not is_free or any(rate.is_busy for rate in self._rates)
        if waits:
            self._require_place(context.model)
            progress.set_status(f"waiting for a free slot, {self._queued[caller]} calls ahead")
        self._queued[caller] += 1
        acquired: list[FairSemaphore] = []
        try:
            try:
                for semaphore in semaphores:
                    await semaphore.acquire(caller)
                    acquired.append(semaphore)
                for rate in self._rates:
                    await rate.acquire(caller)
            finally:
                self._queued[caller] -= 1
                if not self._queued[caller]:
                    del self._queued[caller]
                if waits:
                    progress.set_status("")
            if self._across is None:
                yield
                return
            async with self._placed_across(self._across, context, limit):
                yield
        finally:
            for semaphore in reversed(acquired):
                semaphore.release(caller)

    @asynccontextmanager
    async def _placed_across(
        self, across: SharedLimits, context: CallContext, limit: int | None
    ) -> AsyncIterator[None]:
        """Do the same across servers."""
        slots = self._and_share("all", self._limits.max_concurrency)
        if limit is not None:
            slots |= self._and_share(f"model:{context.workspace}/{context.model}", limit)
        per_minute = self._limits.calls_per_minute
        rates = self._and_share("all", per_minute) if per_minute else {}
        waiting = partial(context.progress.set_status, "waiting for a free slot on any of the servers")
        async with across.place(secrets.token_hex(8), slots, rates, waiting) as problem:
            context.progress.set_status("")
            if problem:
                context.notes.append(f"the limits held for this server alone: {problem}")
            yield

    def _and_share(self, name: str, limit: int) -> dict[str, int]:
        """Return a limit across servers, and the caller's share of it where there is one."""
        limits = {f"{self._scope}:{name}": limit}
        if self._shared and self._caller:
            limits[f"{hashed(self._caller)}:{name}"] = _half(limit)
        return limits

    def _slots(self, count: int) -> "FairSemaphore":
        return FairSemaphore(count, share=_half(count) if self._shared else count)

    def _require_place(self, model: str | None) -> None:
        places = self._limits.max_queue - self._queued.total()
        if places <= 0:
            raise _busy(
                model,
                f"all slots are taken and the queue is full (max_queue = {self._limits.max_queue})",
                hint="Try again when some of the running calls have finished. The limits are `max_concurrency`, "
                "`calls_per_minute` and `max_queue` in [limits], and the model's own `max_concurrency`.",
            )
        if self._shared and self._caller and self._queued[self._caller] >= places:
            raise _busy(
                model,
                "your share of the slots is taken, and so is your share of the queue",
                hint="Try again when some of your running calls have finished.",
            )


def _half(count: int) -> int:
    return max(1, count // 2)


def _busy(model: str | None, reason: str, *, hint: str) -> BlaxelError:
    return BlaxelError(f"The call of {model!r} was not sent: {reason}.", code="busy", hint=hint, retryable=True)
