"""Concurrency and rate limits that several servers count together in Redis or Valkey.

A slot is a lease that its server renews, so the slots of a server that died are free again soon. Calls of one server
wait in their order, and only the first of them asks the engine.
"""

import random
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.to_thread

from blaxel_mcp.budget.shared.engine import NOW_LUA, TAG, Engine, SharedStateError
from blaxel_mcp.budget.shared.state import Heartbeat

_MINUTE_MS = 60_000
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.02, 0.25
"""How often the first waiting call of a server asks for a slot."""

_ACQUIRE = f"""{NOW_LUA}
local id, lease_ms, minute_ms, slots = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for index, key in ipairs(KEYS) do
  local limit, is_slot = tonumber(ARGV[4 + index]), index <= slots
  redis.call('ZREMRANGEBYSCORE', key, '-inf', is_slot and now or now - minute_ms)
  if not redis.call('ZSCORE', key, id) and redis.call('ZCARD', key) >= limit then
    if is_slot then return -1 end
    return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] + minute_ms - now + 1
  end
end
for index, key in ipairs(KEYS) do
  if index <= slots then
    redis.call('ZADD', key, now + lease_ms, id)
    redis.call('PEXPIRE', key, 10 * lease_ms)
  else
    redis.call('ZADD', key, 'NX', now, id)
    redis.call('PEXPIRE', key, minute_ms)
  end
end
return 0
"""
"""Takes every slot and start at once, or none: -1 if a slot is missing, else the milliseconds until a start is due."""

_BEAT = f"""{NOW_LUA}
for index, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', now + ARGV[1], ARGV[1 + index])
  redis.call('PEXPIRE', key, 10 * ARGV[1])
end
"""

_RELEASE = "for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end"


Limits = Mapping[str, int]
"""How many calls may be in flight, or may start in any minute, by the limit's name: no secret, and no person's."""


class SharedLimits:
    """The slots and the starts of all servers; a slot lasts for `lease_seconds` without a beat."""

    def __init__(self, engine: Engine, lease_seconds: float) -> None:
        self._engine = engine
        self._lease_ms = round(lease_seconds * 1000)
        self._heartbeat = Heartbeat(self._beat, lease_seconds)
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, ...]] = {}
        self._turns: dict[tuple[str, ...], anyio.Lock] = {}

    @asynccontextmanager
    async def place(
        self, call_id: str, slots: Limits, rates: Limits, waits: Callable[[], None]
    ) -> AsyncIterator[SharedStateError | None]:
        """Wait for a slot of each limit and for a start, and hold the slots while the context lasts.

        Slots limit the calls in flight, rates the calls started in any minute; `waits` is called before the call waits.

        Yields:
            None, or why the engine cannot be used; then nothing is held.
        """
        keys = tuple(f"{TAG}:slots:{name}" for name in slots)
        every = (*keys, *(f"{TAG}:starts:{name}" for name in rates))
        limits = (*slots.values(), *rates.values())
        acquire = partial(self._engine.run, _ACQUIRE, every, call_id, self._lease_ms, _MINUTE_MS, len(keys), *limits)
        problem: SharedStateError | None = None
        with self._lock:
            self._held[call_id] = keys
        try:
            self._heartbeat.start()
            try:
                await self._wait(every, acquire, waits)
            except SharedStateError as error:
                problem = error
            yield problem
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._release, call_id, keys)

    def close(self) -> None:
        """Stop renewing; slots that are still held expire. It blocks."""
        self._heartbeat.stop()

    async def _wait(self, keys: tuple[str, ...], acquire: Callable[[], int], waits: Callable[[], None]) -> None:
        turn = self._turns.setdefault(keys, anyio.Lock())
        if turn.locked():
            waits()
        try:
            async with turn:
                delay = _FIRST_WAIT_SECONDS
                while (milliseconds := await anyio.to_thread.run_sync(acquire)) != 0:
                    waits()
                    await anyio.sleep(milliseconds / 1000 if milliseconds > 0 else delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
                    delay = min(2 * delay, _LONGEST_WAIT_SECONDS)
        finally:
            if not turn.locked():
                # Callers come and go, and each has a share of its own.
                self._turns.pop(keys, None)

    def _release(self, call_id: str, keys: tuple[str, ...]) -> None:
        with self._lock:
            self._held.pop(call_id, None)
        # Otherwise they expire.
        with suppress(SharedStateError):
            self._engine.run(_RELEASE, keys, call_id)

    def _beat(self) -> None:
        with self._lock:
            leases = [(key, call_id) for call_id, keys in self._held.items() for key in keys]
        if leases:
            self._engine.run(_BEAT, [key for key, _ in leases], self._lease_ms, *(call_id for _, call_id in leases))
