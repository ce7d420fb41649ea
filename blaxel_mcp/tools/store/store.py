"""Whole answers, kept by the id of their call for as long as someone may ask for the rest of one.

The newest are held in memory, what does not fit there on disk, in a private folder. Number,
space and age are bounded; the oldest goes first.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.abc
import anyio.to_thread

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.answers import Answer
from blaxel_mcp.tools.store.entries import KeptAnswer, StoreLimits, kept
from blaxel_mcp.tools.store.shared import SharedAnswers
from blaxel_mcp.tools.store.spool import Spool, default_spools

_MAX_REMEMBERED = 2000
"""Calls of which it is remembered why their answer is gone."""

_PUSHED_OUT = "it made room for later ones"


_LIMITS = StoreLimits()


@dataclass(slots=True)
class _Record:
    """An answer, without its data once that is on disk, and the files that go with it."""

    answer: KeptAnswer
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

    def remove_files(self) -> None:
        for path in (self.path, *self.files):
            if path:
                path.unlink(missing_ok=True)


class CallStore:
    """Keeps answers. A context: entering it clears away what dead processes left, leaving it all of its own.

    Args:
        spools: The folder for the store's own folder; None for one in the user's cache directory.
        limits: What it may take up.
        now: A monotonic clock, in seconds.
        sleep: Waits for the given number of seconds.
        shared: A folder in which other processes of the same server find the answers too; None where there is one.
    """

    def __init__(
        self,
        *,
        spools: Path | None = None,
        limits: StoreLimits = _LIMITS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        shared: Path | None = None,
    ) -> None:
        self._spool = Spool(spools or default_spools())
        self._limits = limits
        self._now = now
        self._sleep = sleep
        # By expiry: every record that is written to is moved to the end.
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._memory_bytes = 0
        self._disk_bytes = 0
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._shared = SharedAnswers(shared, limits) if shared else None
        self._lock = anyio.Lock()
        self._filled = anyio.Event()
        self._timer: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self._spool.remove_abandoned)
        self._timer = await anyio.create_task_group().__aenter__()
        self._timer.start_soon(self._expire_when_due)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._timer is not None
        try:
            self._timer.cancel_scope.cancel()
            # Without the error of the body, which would be wrapped in a group.
            await self._timer.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                async with self._lock:
                    self._records.clear()
                    self._memory_bytes = self._disk_bytes = 0
                    await anyio.to_thread.run_sync(self._spool.close)

    async def put(self, call_id: str, answer: Answer) -> None:
        """Keep an answer. A disk that refuses it is no reason to fail: `get` says so then."""
        whole = kept(answer)
        async with self._exclusive():
            if call_id in self._records:
                await self._drop(call_id, _PUSHED_OUT)
            self._records[call_id] = _Record(whole, self._now() + self._limits.seconds, len(whole.data))
            self._memory_bytes += len(whole.data)
            self._filled.set()
            await self._make_room()
            if self._shared:
                with suppress(OSError):
                    await anyio.to_thread.run_sync(self._shared.write, call_id, whole)

    async def put_file(self, call_id: str, name: str, data: bytes) -> Path:
        """Write a file that is kept as long as the answer of its call, and return its path.

        Raises:
            OSError: the disk refused it, or the answer is no longer kept.
        """
        async with self._exclusive():
            record = self._records.get(call_id)
            if record is None or len(data) > self._limits.disk_bytes:
                raise OSError("there is no room for it")
            path = await anyio.to_thread.run_sync(self._spool.write, data, name)
            record.files[path] = len(data)
            self._disk_bytes += len(data)
            record.expires_at = self._now() + self._limits.seconds
            self._records.move_to_end(call_id)
            await self._make_room()
            return path

    async def get(self, call_id: str) -> KeptAnswer:
        """An answer that is kept.

        Raises:
            BlaxelError: `not_found`; says whether it was ever here, and what became of it.
        """
        async with self._exclusive():
            await self._expire()
            record = self._records.get(call_id)
            if record is None:
                answer = await anyio.to_thread.run_sync(self._shared.read, call_id) if self._shared else None
                if answer is None:
                    raise self._not_found(call_id)
                return answer
            if record.path is None:
                return record.answer
            try:
                return replace(record.answer, data=await anyio.to_thread.run_sync(record.path.read_bytes))
            except OSError:
                await self._drop(call_id, "its file was taken away")
                raise self._not_found(call_id) from None

    async def _expire_when_due(self) -> None:
        """Remove each answer when its time is over, whether or not anybody asks for one."""
        while True:
            if not self._records:
                self._filled = anyio.Event()
                await self._filled.wait()
            oldest = next(iter(self._records.values()))
            await self._sleep(max(0.0, oldest.expires_at - self._now()))
            async with self._exclusive():
                await self._expire()

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        # A caller that is cancelled half way would leave a file that nobody counts.
        async with self._lock:
            with anyio.CancelScope(shield=True):
                yield

    async def _expire(self) -> None:
        while self._records:
            call_id, oldest = next(iter(self._records.items()))
            if oldest.expires_at > self._now():
                break
            await self._drop(call_id, f"answers are kept for {self._limits.seconds / 60:g} minutes")
            if self._shared:
                await anyio.to_thread.run_sync(self._shared.remove, call_id)

    async def _make_room(self) -> None:
        await self._expire()
        while len(self._records) > self._limits.calls:
            await self._drop(next(iter(self._records)), _PUSHED_OUT)
        while self._memory_bytes > self._limits.memory_bytes:
            await self._spill(next(call_id for call_id, record in self._records.items() if record.memory_bytes))
        while self._disk_bytes > self._limits.disk_bytes:
            await self._drop(
                next(call_id for call_id, record in self._records.items() if record.disk_bytes), _PUSHED_OUT
            )

    async def _spill(self, call_id: str) -> None:
        record = self._records[call_id]
        try:
            record.path = await anyio.to_thread.run_sync(self._spool.write, record.answer.data)
        except OSError as error:
            await self._drop(call_id, f"the disk refused it ({error.strerror or type(error).__name__})")
        else:
            record.answer = replace(record.answer, data=b"")
            self._memory_bytes -= record.size
            self._disk_bytes += record.size

    async def _drop(self, call_id: str, why: str) -> None:
        record = self._records.pop(call_id)
        self._memory_bytes -= record.memory_bytes
        self._disk_bytes -= record.disk_bytes
        self._gone[call_id] = why
        if len(self._gone) > _MAX_REMEMBERED:
            self._gone.popitem(last=False)
        if record.path or record.files:
            with suppress(OSError):
                await anyio.to_thread.run_sync(record.remove_files)

    def _not_found(self, call_id: str) -> BlaxelError:
        why = self._gone.get(call_id)
        shown = literal(call_id)
        message = f"The answer of the call {shown} is gone: {why}." if why else f"No call {shown} is known here."
        hint = (
            "Call the model again if the answer is still needed; that is paid for again."
            if why
            else "Take the call_id of a result's receipt, or of the sentence at the end of a cut answer. Answers are "
            "kept by the server process that gave them."
        )
        return BlaxelError(message, code="not_found", origin="local" if why else "caller", hint=hint)
