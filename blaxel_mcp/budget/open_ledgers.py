"""The ledgers of this process, one for each path, and the group commits of their users.

Entries that wait at the same time share one transaction and one thread.
"""

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from pydantic import SecretStr

from blaxel_mcp.budget.figures import Entry, Used
from blaxel_mcp.budget.ledger import MEMORY, Ledger, default_ledger
from blaxel_mcp.budget.shared.engine import Engine, require_extra
from blaxel_mcp.core.private_files import setting_path
from blaxel_mcp.settings.limits import LEASE_SECONDS
from blaxel_mcp.settings.schema import Settings

DEFER_SECONDS = 0.25
"""Maximum delay of a deferred entry. If the process is killed, the usage of this time is lost, of calls without a
cap."""

SETTLE_SECONDS = 0.02
"""Maximum delay of the usage of a call that is reserved; until then, its estimate counts."""

_Waiting = tuple[Entry, asyncio.Future[Used]]


class GroupCommit:
    """Writes entries to a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._waiting: list[_Waiting] = []
        self._committed: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    async def write(self, entry: Entry) -> Used:
        """Write an entry, and return the usage of its day. Cancellation waits for the outcome.

        Raises:
            LedgerError: The ledger cannot be used.
            BlaxelError: The entry's `check` refused the call.
        """
        outcome: asyncio.Future[Used] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, outcome))
        if not self._committed:
            self._commit()
        with anyio.CancelScope(shield=True):
            await outcome
        return outcome.result()

    def defer(self, entry: Entry, seconds: float = DEFER_SECONDS) -> None:
        """Write an entry with the next transaction, within so many seconds; its `check` is not called."""
        # The check refers to the request and its answer, which would stay in memory while the disk is slow.
        self.ledger.defer(Entry(entry.reservation, lambda _: None) if entry.check else entry)
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due, self._timer = due, loop.call_at(due, self._flush)

    async def aclose(self) -> None:
        """Write the deferred entries."""
        if self._timer is not None:
            self._timer.cancel()
        await anyio.to_thread.run_sync(self.ledger.flush)

    def _flush(self) -> None:
        # Only here: a timer may be late in a busy event loop, and must not be put off then.
        self._due = math.inf
        asyncio.get_running_loop().run_in_executor(None, self.ledger.flush)

    def _commit(self) -> None:
        """Write the entries that wait, in one transaction, and then those that have come meanwhile."""
        self._committed, self._waiting = self._waiting, []
        entries = [entry for entry, _ in self._committed]
        # A task, or a thread of anyio's, would take several turns of the event loop more.
        written = asyncio.get_running_loop().run_in_executor(None, self.ledger.write, entries)
        written.add_done_callback(self._announce)

    def _announce(self, written: asyncio.Future[list[Used | Exception]]) -> None:
        committed, self._committed = self._committed, []
        error = written.exception()
        outcomes = written.result() if error is None else [error] * len(committed)
        for (_, waiting), outcome in zip(committed, outcomes, strict=True):
            if waiting.cancelled():
                continue
            if isinstance(outcome, BaseException):
                waiting.set_exception(outcome)
            else:
                waiting.set_result(outcome)
        if self._waiting:
            self._commit()


logger = logging.getLogger(__name__)

LedgerPath = Path | str | SecretStr
"""A file, `MEMORY`, or the URL of a Redis, which may hold a password."""


class OpenLedgers:
    """Opens each ledger once.

    An edit of the settings or another caller must not restart the count at zero. So ledgers, those in memory too, stay
    until the last user and the server are gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledgers: dict[tuple[str | SecretStr, str], Ledger] = {}
        self._users: dict[Ledger, int] = {}
        self._keepers = 0

    def acquire(self, path: LedgerPath, *, instead_of: str = "", lease_seconds: float = LEASE_SECONDS) -> Ledger:
        """Return the ledger at a path; call `release` after use.

        Args:
            path: The file, `MEMORY`, or the URL of a Redis.
            instead_of: The unusable ledger that the one in memory replaces; empty for none.
            lease_seconds: How long a call that is reserved in Redis counts as running without a sign of its process.
        """
        key = (path if isinstance(path, SecretStr) else str(path), instead_of)
        with self._lock:
            ledger = self._ledgers.get(key)
            if ledger is None:
                if isinstance(path, SecretStr):
                    # Imported here: a server that shares no budget starts without it.
                    from blaxel_mcp.budget.redis_ledger import RedisLedger  # noqa: PLC0415

                    ledger = RedisLedger(Engine(path), lease_seconds=lease_seconds)
                else:
                    ledger = Ledger(path)
                self._ledgers[key] = ledger
            self._users[ledger] = self._users.get(ledger, 0) + 1
            return ledger

    def release(self, ledger: Ledger) -> None:
        """Release a ledger; its file is closed after the last user."""
        with self._lock:
            self._users[ledger] -= 1
            unused = [] if self._users[ledger] else self._unused()
        for other in unused:
            other.close()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Forget no ledger between two users while this context lasts: as long as a server runs."""
        with self._lock:
            self._keepers += 1
        try:
            yield
        finally:
            with self._lock:
                self._keepers -= 1
                unused = self._unused()
            for ledger in unused:
                ledger.close()

    def flush(self) -> None:
        """Write the deferred entries of all ledgers."""
        with self._lock:
            ledgers = tuple(self._ledgers.values())
        for ledger in ledgers:
            ledger.flush()

    def _unused(self) -> list[Ledger]:
        """Return the ledgers to close, and forget them unless a server still runs."""
        unused = {key: ledger for key, ledger in self._ledgers.items() if not self._users[ledger]}
        if self._keepers:
            return [ledger for ledger in unused.values() if ledger.path != MEMORY]
        for key, ledger in unused.items():
            del self._ledgers[key], self._users[ledger]
        return list(unused.values())


OPEN_LEDGERS = OpenLedgers()


class LedgerInUse:
    """Opens the ledger of some settings on first use.

    Attributes:
        opened: The ledger if it is open.
        problem: The last problem with the ledger, as a sentence.

    Raises:
        ConfigurationError: The ledger is in Redis, and the extra `redis` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = _path(settings)
        self._lease_seconds = settings.shared.lease_seconds
        if isinstance(self._path, SecretStr):
            require_extra()
        self._acquired: list[GroupCommit] = []
        self.opened: GroupCommit | None = None
        self.problem: str | None = None

    def open(self) -> GroupCommit:
        """Return the ledger, which all callers of this process share, until `aclose` releases it."""
        if self.opened is None:
            self.opened = GroupCommit(OPEN_LEDGERS.acquire(self._path, lease_seconds=self._lease_seconds))
            self._acquired.append(self.opened)
        return self.opened

    def fall_back(self, problem: str) -> GroupCommit:
        """Count in memory from now on, and return that ledger."""
        self.opened = GroupCommit(OPEN_LEDGERS.acquire(MEMORY, instead_of=str(self._path)))
        self._acquired.append(self.opened)
        self.warn(f"{problem} Calls are now counted in this process only.")
        return self.opened

    def warn(self, problem: str) -> None:
        """Log a problem, once until another one follows."""
        if problem != self.problem:
            self.problem = problem
            logger.warning(problem)

    async def aclose(self) -> None:
        """Release the ledger."""
        self.opened = None
        while self._acquired:
            commits = self._acquired.pop()
            await commits.aclose()
            await anyio.to_thread.run_sync(OPEN_LEDGERS.release, commits.ledger)


def _path(settings: Settings) -> LedgerPath:
    path = settings.budget.ledger
    if path is None:
        return settings.shared.url or default_ledger()
    if "://" in path:
        return SecretStr(path)
    return MEMORY if path == MEMORY else setting_path(path, "budget.ledger")
