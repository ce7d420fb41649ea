"""Group commits from an event loop: entries that wait at the same time share one transaction and one thread."""

import asyncio

import anyio
import anyio.to_thread

from blaxel_mcp.budget.figures import Entry, Used
from blaxel_mcp.budget.ledger import Ledger

DEFER_SECONDS = 0.25
"""Maximum delay of a deferred entry. If the process is killed, the usage of this time is lost, of calls without a
cap."""

_Waiting = tuple[Entry, asyncio.Future[Used]]


class GroupCommit:
    """Writes entries to a ledger.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, entry: Entry) -> Used:
        """Write an entry, and return the usage of its day. Cancellation waits for the outcome.

        Raises:
            LedgerError: The ledger cannot be used.
            BlaxelError: The entry's `check` refused the call.
        """
        outcome: asyncio.Future[Used] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, outcome))
        if self._task is None:
            self._task = asyncio.create_task(self._commit())
        with anyio.CancelScope(shield=True):
            await outcome
        return outcome.result()

    def defer(self, entry: Entry) -> None:
        """Write an entry within `DEFER_SECONDS`; its `check` is not called."""
        self.ledger.defer(entry)
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() <= loop.time():
            self._timer = loop.call_later(DEFER_SECONDS, loop.run_in_executor, None, self.ledger.flush)

    async def aclose(self) -> None:
        """Write the deferred entries."""
        if self._timer is not None:
            self._timer.cancel()
        await anyio.to_thread.run_sync(self.ledger.flush)

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                outcomes = await anyio.to_thread.run_sync(self.ledger.write, [entry for entry, _ in batch])
            except Exception as error:  # noqa: BLE001 - each of them raises it
                outcomes = [error] * len(batch)
            for (_, waiting), outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    waiting.set_exception(outcome)
                else:
                    waiting.set_result(outcome)
        self._task = None
