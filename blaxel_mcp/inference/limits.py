"""Whose turn it is: how many calls of models go on at once, and how many begin in a minute."""

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.schema import LimitSettings

_MINUTE_SECONDS = 60.0

Announce = Callable[[str], None]
_Key = tuple[str | None, str]


class CallLimits:
    """Gives calls their turns, first come, first served.

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
        self._models: dict[_Key, anyio.Semaphore] = {}
        self._rate = _Rate(limits.calls_per_minute, now, sleep)
        self._waiting = 0

    @asynccontextmanager
    async def turn(
        self, workspace: str | None, model: str, most: int | None, announce: Announce
    ) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the context.

        Args:
            workspace: The model's.
            model: Its name.
            most: How many calls of this model may go on at once, where it has a limit of its own.
            announce: Is told in a sentence that the call waits, and an empty string when it no longer does.

        Raises:
            BlaxelError: `busy`: too many wait already.
        """
        # The model's own turn comes first, so that who waits for it takes none of the others'.
        turns = [*self._of_model((workspace, model), most), self._all]
        if not (all(turn.value for turn in turns) and self._rate.free):
            self._check_queue(model)
            announce(f"waiting for its turn, with {self._waiting} calls before it")
        self._waiting += 1
        try:
            taken = await self._take(turns)
        finally:
            self._waiting -= 1
            announce("")
        try:
            yield
        finally:
            _give_back(taken)

    async def _take(self, turns: list[anyio.Semaphore]) -> list[anyio.Semaphore]:
        taken: list[anyio.Semaphore] = []
        try:
            for turn in turns:
                await turn.acquire()
                taken.append(turn)
            await self._rate.wait()
        except BaseException:
            _give_back(taken)
            raise
        return taken

    def _of_model(self, key: _Key, most: int | None) -> list[anyio.Semaphore]:
        if most is None:
            return []
        return [self._models.setdefault(key, anyio.Semaphore(most, fast_acquire=True))]

    def _check_queue(self, model: str) -> None:
        if self._waiting < self._limits.max_queue:
            return
        raise BlaxelError(
            f"The call of {model!r} was not sent: it is not its turn yet, and {self._limits.max_queue} calls at most "
            "may wait for theirs.",
            code="busy",
            origin="local",
            hint="Call again when some of the calls in flight have ended. limits.max_concurrency, the model's own "
            "max_concurrency, limits.calls_per_minute and limits.max_queue are the settings.",
            retryable=True,
        )


class _Rate:
    """Lets so many through in any minute; None is any number."""

    def __init__(
        self, per_minute: int | None, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._begun: deque[float] | None = None if per_minute is None else deque(maxlen=per_minute)
        self._order = anyio.Lock(fast_acquire=True)

    @property
    def free(self) -> bool:
        """Whether nobody would have to wait now."""
        return self._left() <= 0 and not self._order.locked()

    async def wait(self) -> None:
        """Wait until one more may begin."""
        if self._begun is None:
            return
        async with self._order:
            while (left := self._left()) > 0:
                await self._sleep(left)
            self._begun.append(self._now())

    def _left(self) -> float:
        if self._begun is None or len(self._begun) < (self._begun.maxlen or 0):
            return 0.0
        return self._begun[0] + _MINUTE_SECONDS - self._now()


def _give_back(taken: list[anyio.Semaphore]) -> None:
    for turn in reversed(taken):
        turn.release()
