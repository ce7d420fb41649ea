"""Handed-back calls as every server sees them: their progress, their result, and a way to cancel them.

The server that runs a call is its owner. It writes the call's progress with each beat, and the result at its end. A
call whose owner has missed a lease is lost; if the owner comes back, the call goes on.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread

from blaxel_mcp.budget.shared.engine import NOW_LUA, TAG, SharedStateError
from blaxel_mcp.budget.shared.state import Heartbeat, SharedState
from blaxel_mcp.tools.store.stored_answers import last_place

logger = logging.getLogger(__name__)

State = Literal["running", "done", "failed", "cancelled", "lost"]

_KEPT_SECONDS = 3600
"""How long a call is kept after its last beat."""

_MAX_UNSENT = 200
"""Results of calls that are kept in this process while the engine is away."""

_POLL_SECONDS = 1.0
"""Interval at which a waiting server checks by itself: a lost call sends no message."""

_PREFIX = f"{TAG}:call:"
_CANCEL, _ENDED = f"{TAG}:cancel", f"{TAG}:ended"
_IDLE = ""
"""The place of those who wait until no call of this server is left."""

_BEAT = f"""{NOW_LUA}
-- A record that is gone is made again: the engine was emptied.
local is_new = redis.call('HSETNX', KEYS[1], 'state', 'running') == 1
if is_new then redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[3]) end
if is_new or redis.call('HGET', KEYS[1], 'state') == 'running' then
  redis.call('HSET', KEYS[1], 'until', now + ARGV[1], 'seen', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return redis.call('HGET', KEYS[1], 'cancel')
"""

_FINISH = """
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'result', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], KEYS[1])
"""

_LOOK = f"""{NOW_LUA}
local record = redis.call('HMGET', KEYS[1], 'state', 'until', 'seen', 'result')
if record[1] == 'running' and tonumber(record[2]) < now then record[1] = 'lost' end
return record
"""

_CANCEL_IT = """
if redis.call('HGET', KEYS[1], 'state') == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', '1')
  redis.call('PUBLISH', ARGV[1], KEYS[1])
end
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """The progress of a running call: its model, a sentence, and the text of the answer so far."""

    model: str = ""
    progress: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """A call as any server sees it: its state, its progress at the last beat, and, once it has ended, its result."""

    state: State
    seen: Seen
    result: str | None = None


@dataclass(frozen=True, slots=True)
class OwnCall:
    """A call that this server runs: returns its progress, and cancels it, in any thread."""

    look: Callable[[], Seen]
    cancel: Callable[[], object]


class SharedCalls:
    """The handed-back calls of all servers."""

    def __init__(self, state: SharedState) -> None:
        self._engine, self._cipher = state.engine, state.cipher
        self._lease_ms = round(state.lease_seconds * 1000)
        self._heartbeat = Heartbeat(self._beat, state.lease_seconds)
        self._lock = threading.Lock()
        self._own: dict[str, OwnCall] = {}
        self._unsent: dict[str, tuple[State, bytes]] = {}
        self._waiting: dict[str, set[Callable[[], object]]] = {}
        self._listens = False

    async def publish(self, owner: str, call_id: str, call: OwnCall) -> None:
        """Show a call of this server to the others from now on, until `finish`."""
        place = _place(owner, call_id)
        with self._lock:
            self._own[place] = call
        self._heartbeat.start()
        await anyio.to_thread.run_sync(self._start_listening)
        try:
            await anyio.to_thread.run_sync(self._beat_one, place, call)
        except SharedStateError as error:
            logger.warning("a call is not shared yet: %s", error)

    async def finish(self, owner: str, call_id: str, state: State, result: str) -> None:
        """Store the result of a call of this server; while the engine is away, each beat tries again."""
        place = _place(owner, call_id)
        encrypted = self._cipher.encrypt(result.encode(), f"{place}:result")
        with self._lock:
            self._unsent[place] = (state, encrypted)
            if len(self._unsent) > _MAX_UNSENT:
                oldest = next(iter(self._unsent))
                del self._unsent[oldest]
                self._own.pop(oldest, None)
        try:
            await anyio.to_thread.run_sync(self._send, place)
        except SharedStateError as error:
            logger.warning("the result of a call is not shared yet: %s", error)

    async def wait(self, owner: str, call_id: str, seconds: float) -> RemoteCall | None:
        """Return a call once it has ended or is lost, or after so many seconds; None if it is not known.

        Raises:
            SharedStateError: The engine cannot be used, or the servers have different keys.
        """
        place, deadline = _place(owner, call_id), anyio.current_time() + seconds
        with self._woken(place) as ended:
            await anyio.to_thread.run_sync(self._start_listening)
            while True:
                record = await anyio.to_thread.run_sync(self._look, place)
                remaining = deadline - anyio.current_time()
                if record is None or record.state != "running" or remaining <= 0:
                    return record
                with anyio.move_on_after(min(_POLL_SECONDS, remaining)):
                    await ended.wait()

    async def cancel(self, owner: str, call_id: str) -> RemoteCall | None:
        """Ask the owner of a call to cancel it, and return the call at its end, or when it counts as lost.

        Raises:
            SharedStateError: The engine cannot be used, or the servers have different keys.
        """
        await anyio.to_thread.run_sync(self._engine.run, _CANCEL_IT, (_place(owner, call_id),), _CANCEL)
        return await self.wait(owner, call_id, self._lease_ms / 1000)

    async def wait_idle(self) -> None:
        """Wait until all handed-back calls of this server have ended."""
        with self._woken(_IDLE) as idle:
            if self._own:
                await idle.wait()

    def close(self) -> None:
        """Stop the beats. It blocks."""
        self._heartbeat.stop()

    @contextmanager
    def _woken(self, place: str) -> Iterator[asyncio.Event]:
        """Provide an event that `_wake` sets, in any thread."""
        event = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, event.set)
        with self._lock:
            self._waiting.setdefault(place, set()).add(wake)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[place].discard(wake)
                if not self._waiting[place]:
                    del self._waiting[place]

    def _wake(self, place: str) -> None:
        with self._lock:
            for wake in self._waiting.get(place, ()):
                # A waiting event loop may have ended.
                with suppress(RuntimeError):
                    wake()

    def _start_listening(self) -> None:
        with self._lock:
            if self._listens:
                return
            self._listens = True
        self._engine.listen({_CANCEL: self._receive_cancel, _ENDED: lambda place: self._wake(place.decode())})

    def _receive_cancel(self, place: bytes) -> None:
        if call := self._own.get(place.decode()):
            call.cancel()

    def _beat(self) -> None:
        with self._lock:
            own, unsent = dict(self._own), list(self._unsent)
        for place in unsent:
            self._send(place)
        for place, call in own.items():
            if place not in unsent:
                self._beat_one(place, call)

    def _beat_one(self, place: str, call: OwnCall) -> None:
        seen = call.look()
        text = json.dumps([seen.model, seen.progress, seen.text])
        encrypted = self._cipher.encrypt(text.encode("utf-8", "surrogatepass"), f"{place}:seen")
        owner, call_id = place.removeprefix(_PREFIX).split(":")
        keys = (place, last_place(owner))
        if self._engine.run(_BEAT, keys, self._lease_ms, encrypted, _KEPT_SECONDS, call_id):
            call.cancel()

    def _send(self, place: str) -> None:
        pending = self._unsent.get(place)
        if pending is None:
            return
        state, encrypted = pending
        self._engine.run(_FINISH, (place,), state, encrypted, _KEPT_SECONDS, _ENDED)
        with self._lock:
            self._unsent.pop(place, None)
            self._own.pop(place, None)
        if not self._own:
            self._wake(_IDLE)

    def _look(self, place: str) -> RemoteCall | None:
        state, _, seen, encrypted = self._engine.run(_LOOK, (place,))
        if state is None:
            return None
        progress = Seen(*json.loads(self._cipher.decrypt(seen, f"{place}:seen"))) if seen else Seen()
        result = self._cipher.decrypt(encrypted, f"{place}:result").decode() if encrypted else None
        return RemoteCall(state.decode(), progress, result)


def _place(owner: str, call_id: str) -> str:
    return f"{_PREFIX}{owner}:{call_id}"
