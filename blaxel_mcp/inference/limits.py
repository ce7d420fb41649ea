"""Concurrency and rate limits for model calls."""

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.progress import Progress
from blaxel_mcp.settings.schema import LimitSettings

_MINUTE_SECONDS = 60.0


class CallLimits:
    """FIFO limiter: concurrent calls, concurrent calls per model, calls per minute.

    Args:
        limits: `max_concurrency`, `calls_per_minute` and `max_queue`.
        now: A monotonic clock, in seconds.
        sleep: Waits for the given number of seconds.
    """

    def __init__(
        self,
        limits: LimitSettings,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._limits = limits
        self._all = anyio.Semaphore(limits.max_concurrency, fast_acquire=True)
        self._models: dict[tuple[str, str], anyio.Semaphore] = {}
        self._rate = RateLimiter(limits.calls_per_minute, now, sleep) if limits.calls_per_minute else None
        self._queued = 0

    @asynccontextmanager
    async def slot(self, workspace: str, model: str, limit: int | None, progress: Progress) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the context lasts.

        Args:
            workspace: The model's workspace.
            model: The model's name.
            limit: The model's own `max_concurrency`; None if it has none.
            progress: Shows the client that the call waits.

        Raises:
            BlaxelError: `busy`: the queue is full.
        """
        semaphores = [self._all]
        if limit is not None:
            # Acquired first, so that a call that waits for its model's slot does not hold a global one.
            own = self._models.setdefault((workspace, model), anyio.Semaphore(limit, fast_acquire=True))
            semaphores.insert(0, own)
        waits = not all(semaphore.value for semaphore in semaphores) or bool(self._rate and self._rate.delay())
        if waits:
            if self._queued >= self._limits.max_queue:
                raise _busy(model, self._limits.max_queue)
            progress.set_status(f"waiting for a free slot, {self._queued} calls ahead")
        self._queued += 1
        acquired: list[anyio.Semaphore] = []
        try:
            try:
                for semaphore in semaphores:
                    await semaphore.acquire()
                    acquired.append(semaphore)
                if self._rate:
                    await self._rate.acquire()
            finally:
                self._queued -= 1
                if waits:
                    progress.set_status("")
            yield
        finally:
            for semaphore in reversed(acquired):
                semaphore.release()


class RateLimiter:
    """Starts at most so many calls in any minute, in the order in which they asked.

    Args:
        per_minute: Calls per minute, at least 1.
        now: A monotonic clock, in seconds.
        sleep: Waits for the given number of seconds.
    """

    def __init__(self, per_minute: int, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._now = now
        self._sleep = sleep
        self._starts: deque[float] = deque(maxlen=per_minute)
        self._order = anyio.Lock(fast_acquire=True)

    def delay(self) -> float:
        """Return how long the next call would have to wait, in seconds; more than 0 also while others wait."""
        if self._order.locked():
            return _MINUTE_SECONDS
        return self._remaining()

    async def acquire(self) -> None:
        """Wait until one more call may start."""
        async with self._order:
            while (seconds := self._remaining()) > 0:
                await self._sleep(seconds)
            self._starts.append(self._now())

    def _remaining(self) -> float:
        if len(self._starts) < (self._starts.maxlen or 0):
            return 0.0
        return max(0.0, self._starts[0] + _MINUTE_SECONDS - self._now())


def _busy(model: str, max_queue: int) -> BlaxelError:
    return BlaxelError(
        f"The call of {model!r} was not sent: all slots are taken and the queue is full (max_queue = {max_queue}).",
        code="busy",
        origin="local",
        hint="Try again when some of the running calls have finished. The limits are `max_concurrency`, "
        "`calls_per_minute` and `max_queue` in [limits], and the model's own `max_concurrency`.",
        retryable=True,
    )
