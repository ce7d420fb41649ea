"""A fair semaphore, and a rate limiter whose waiters get fair turns."""

import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import anyio

from blaxel_mcp.core.exceptions import BlaxelError

_MINUTE_SECONDS = 60.0


class FairSemaphore:
    """A semaphore whose waiters are served caller by caller, each caller's in their order.

    One caller holds at most `share` of the slots; the owner, whose name is empty, may hold all.
    """

    def __init__(self, value: int, *, share: int) -> None:
        self._free = self._value = value
        self._share = share
        self._held: Counter[str] = Counter()
        # In the order of their turns.
        self._waiting: dict[str, deque[anyio.Event]] = {}

    def is_free(self, caller: str) -> bool:
        """Return whether a caller would get a slot at once."""
        return self._free > 0 and self._held[caller] < (self._share if caller else self._value)

    @property
    def taken(self) -> int:
        """The number of slots that are taken."""
        return self._value - self._free

    async def acquire(self, caller: str) -> None:
        """Wait for a slot."""
        if self.is_free(caller):
            self._free -= 1
            self._held[caller] += 1
            return
        granted = anyio.Event()
        self._waiting.setdefault(caller, deque()).append(granted)
        try:
            await granted.wait()
        except BaseException:
            if granted.is_set():
                self.release(caller)
            else:
                self._waiting[caller].remove(granted)
                if not self._waiting[caller]:
                    del self._waiting[caller]
            raise

    def release(self, caller: str) -> None:
        """Give a caller's slot to the next waiter."""
        self._free += 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        while (following := next(filter(self.is_free, self._waiting), None)) is not None:
            # The caller's next waiter has its turn after those of all other callers.
            queue = self._waiting.pop(following)
            granted = queue.popleft()
            if queue:
                self._waiting[following] = queue
            self._free -= 1
            self._held[following] += 1
            granted.set()


class RateLimiter:
    """Starts at most so many calls in any minute. Callers who wait get their turns one after the other."""

    def __init__(
        self,
        per_minute: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.per_minute = per_minute
        self._now = now
        self._sleep = sleep
        self._starts: deque[float] = deque(maxlen=per_minute)
        self._turn = FairSemaphore(1, share=1)

    @property
    def is_busy(self) -> bool:
        """Whether the next call has to wait, for a minute to pass or for others who wait."""
        return not self._turn.is_free("") or self._remaining() > 0

    async def acquire(self, caller: str) -> None:
        """Wait until one more call may start."""
        await self._turn.acquire(caller)
        try:
            while (seconds := self._remaining()) > 0:
                await self._sleep(seconds)
            self._starts.append(self._now())
        finally:
            self._turn.release(caller)

    def require(self) -> None:
        """Start one more call now, or raise a BlaxelError: `busy`, with the time in `retry_after_seconds`."""
        seconds = math.ceil(self._remaining())
        if seconds:
            raise BlaxelError(
                f"The call was not made: one caller may make {self.per_minute} tool calls per minute.",
                code="busy",
                hint=f"Try again in {seconds} second{'' if seconds == 1 else 's'}, and make fewer calls at a time.",
                retryable=True,
                retry_after_seconds=seconds,
            )
        self._starts.append(self._now())

    def _remaining(self) -> float:
        if len(self._starts) < self.per_minute:
            return 0.0
        return max(0.0, self._starts[0] + _MINUTE_SECONDS - self._now())
