"""Group commits from an event loop: entries that wait at the same time share one transaction and one thread."""

import asyncio
import math

import anyio
import anyio.to_thread

from blaxel_mcp.budget.figures import Entry, Used
from blaxel_mcp.budget.ledger import Ledger

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
