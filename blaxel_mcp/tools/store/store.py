"""Stores complete answers by call id for a limited time: the newest in memory, the rest in a private folder."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread

from blaxel_mcp.budget.shared.engine import SharedStateError
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.private_files import read_private
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.answers import Answer
from blaxel_mcp.tools.store.spool import Spool, default_spools
from blaxel_mcp.tools.store.stored_answers import SharedAnswers, StoredAnswer, StoreLimits, stored

logger = logging.getLogger(__name__)

_MAX_REASONS = 2000
"""Removed answers whose reason is remembered for the error message."""

_EVICTED = "it made room for newer answers"

_LIMITS = StoreLimits()


@dataclass(slots=True)
class _Record:
    """An answer, whose data is empty once it is in the file at `path`, and the files that belong to it."""

    answer: StoredAnswer
    expires_at: float
    size: int
    path: Path | None = None
    files: dict[Path, int] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        return 0 if self.path else self.size

    @property
    def disk_bytes(self) -> int:
        return (self.size if self.path else 0) + sum(self.files.values())

    def delete_files(self) -> None:
        for path in (self.path, *self.files):
            if path:
                path.unlink(missing_ok=True)


class CallStore:
    """Stores the answers of one caller.

    Entering the context removes files of processes that ended without cleaning up, and starts the timer that removes
    expired answers, by `now`, a monotonic clock. Leaving it removes every answer. The store creates its folder in
    `spools`; None for the user's cache directory. Within its limits, the oldest answers are removed first.
    """

    def __init__(
        self,
        *,
        spools: Path | None = None,
        limits: StoreLimits = _LIMITS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        shared: SharedAnswers | None = None,
    ) -> None:
        self._spool = Spool(spools or default_spools())
        self._limits = limits
        self._now = now
        self._sleep = sleep
        # In the order in which they expire.
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._memory_bytes = 0
        self._disk_bytes = 0
        self._reasons: dict[str, str] = {}
        self._shared = shared
        # Of answers that are removed already.
        self._deletions: list[Callable[[], None]] = []
        # Without contention, a turn of the event loop per answer would be for nothing.
        self._lock = anyio.Lock(fast_acquire=True)
        self._stored = anyio.Event()
        self._timer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self._spool.remove_abandoned)
        self._timer = asyncio.create_task(self._remove_when_expired())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._timer is not None
        self._timer.cancel()
        with anyio.CancelScope(shield=True):
            async with self._lock:
                self._records.clear()
                self._memory_bytes = self._disk_bytes = 0
                await anyio.to_thread.run_sync(self._spool.close)

    async def put(self, call_id: str, answer: Answer) -> None:
        """Store an answer. A full disk is no error here; `get` reports it then."""
        complete = stored(answer)
        is_added = not self._shared and not self._lock.locked()
        if is_added:
            self._add(call_id, complete)
            if not self._deletions and self._memory_bytes <= self._limits.memory_bytes:
                return
        async with self._exclusive():
            if not is_added:
                self._add(call_id, complete)
            await self._make_room()
        if self._shared:
            try:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._shared.write, call_id, complete)
            except SharedStateError as error:
                logger.warning("other servers cannot find an answer: %s", error)

    async def put_file(self, call_id: str, name: str, data: bytes) -> Path:
        """Write a file that is kept as long as the answer of its call, and return its path.

        Raises:
            OSError: The file could not be written, or the answer is no longer stored.
        """
        async with self._exclusive():
            record = self._records.get(call_id)
            if record is None or len(data) > self._limits.disk_bytes:
                raise OSError("there is no room for it")
            path = await anyio.to_thread.run_sync(self._spool.write, data, name)
            record.files[path] = len(data)
            self._disk_bytes += len(data)
            # The newest record is the last to make room.
            record.expires_at = self._now() + self._limits.lifetime_seconds
            self._records.move_to_end(call_id)
            await self._make_room()
            return path

    def has(self, call_id: str) -> bool:
        """Return whether this process has an answer, which may expire before it is read."""
        return call_id in self._records

    async def last_shared(self) -> str | None:
        """Return the caller's last call on any server; None if nothing is shared, or it cannot be known."""
        try:
            return await anyio.to_thread.run_sync(self._shared.last) if self._shared else None
        except SharedStateError:
            return None

    async def get(self, call_id: str) -> StoredAnswer:
        """Return an answer; BlaxelError `not_found` says whether it was ever here, and why it was removed."""
        async with self._exclusive():
            self._remove_expired()
            await self._delete()
            record = self._records.get(call_id)
            if record is None:
                return await self._get_shared(call_id)
            if record.path is None:
                if not record.answer.is_compact:
                    record.answer = await anyio.to_thread.run_sync(record.answer.compacted)
                return record.answer
            try:
                answer = replace(record.answer, data=await anyio.to_thread.run_sync(read_private, record.path))
                return await anyio.to_thread.run_sync(answer.compacted)
            except OSError:
                self._remove(call_id, "its file was deleted or replaced")
                await self._delete()
                raise self._not_found(call_id) from None

    async def _get_shared(self, call_id: str) -> StoredAnswer:
        try:
            answer = await anyio.to_thread.run_sync(self._shared.read, call_id) if self._shared else None
        except SharedStateError as error:
            raise BlaxelError(
                f"The answer of call {literal(call_id)} cannot be read: {error}.",
                code="upstream_error",
                hint="It is kept for an hour: try again when the shared state can be used.",
                retryable=True,
                billed="yes",
            ) from None
        if answer is None:
            raise self._not_found(call_id)
        return answer

    async def _remove_when_expired(self) -> None:
        while True:
            if not self._records:
                self._stored = anyio.Event()
                await self._stored.wait()
            oldest = next(iter(self._records.values()))
            await self._sleep(max(0.0, oldest.expires_at - self._now()))
            async with self._exclusive():
                self._remove_expired()
                await self._delete()

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        async with self._lock:
            # Cancellation halfway would leave a file that is not counted.
            with anyio.CancelScope(shield=True):
                yield

    def _add(self, call_id: str, complete: StoredAnswer) -> None:
        if call_id in self._records:
            self._remove(call_id, _EVICTED)
        size = len(complete.data)
        self._records[call_id] = _Record(complete, self._now() + self._limits.lifetime_seconds, size)
        self._memory_bytes += size
        self._stored.set()
        while len(self._records) > self._limits.answers:
            self._remove(next(iter(self._records)), _EVICTED)

    def _remove_expired(self) -> None:
        while self._records:
            call_id, oldest = next(iter(self._records.items()))
            if oldest.expires_at > self._now():
                break
            self._remove(call_id, f"answers are kept for {self._limits.lifetime_seconds / 60:g} minutes")

    async def _make_room(self) -> None:
        """Keep to the limits of memory and disk, and delete the files of removed answers."""
        while self._memory_bytes > self._limits.memory_bytes:
            await self._move_to_disk(next(key for key, record in self._records.items() if record.memory_bytes))
        while self._disk_bytes > self._limits.disk_bytes:
            self._remove(next(key for key, record in self._records.items() if record.disk_bytes), _EVICTED)
        await self._delete()

    async def _move_to_disk(self, call_id: str) -> None:
        record = self._records[call_id]
        try:
            record.path = await anyio.to_thread.run_sync(self._spool.write, record.answer.data)
        except OSError as error:
            self._remove(call_id, f"it could not be written to disk ({error.strerror or type(error).__name__})")
        else:
            record.answer = replace(record.answer, data=b"")
            self._memory_bytes -= record.size
            self._disk_bytes += record.size

    def _remove(self, call_id: str, reason: str) -> None:
        record = self._records.pop(call_id)
        self._memory_bytes -= record.memory_bytes
        self._disk_bytes -= record.disk_bytes
        self._reasons[call_id] = reason
        if len(self._reasons) > _MAX_REASONS:
            del self._reasons[next(iter(self._reasons))]
        if record.path or record.files:
            self._deletions.append(record.delete_files)

    async def _delete(self) -> None:
        while self._deletions:
            with suppress(OSError):
                await anyio.to_thread.run_sync(self._deletions.pop())

    def _not_found(self, call_id: str) -> BlaxelError:
        if reason := self._reasons.get(call_id):
            return BlaxelError(
                f"The answer of call {literal(call_id)} is gone: {reason}.",
                code="not_found",
                hint="Call the model again if you still need the answer; that call is billed again.",
                billed="yes",
            )
        return unknown_call(call_id)


def unknown_call(call_id: str) -> BlaxelError:
    """Make the error for a call that this process does not know."""
    return BlaxelError(
        f"No call {literal(call_id)} is known here.",
        code="not_found",
        origin="caller",
        hint="Take the call_id from a result's receipt or from the note in a truncated answer. If another server "
        "process made that call, it may have been billed, and only that process has its answer.",
        billed="maybe",
    )
