"""The ledger: usage per day and model, in one SQLite file for all processes of a user.

A call is reserved before it is sent and settled afterwards. The reservation of a process that died remains and counts
against the caps: its call may have been billed.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blaxel_mcp.budget import tables
from blaxel_mcp.budget.figures import Entry, ModelDay, Reservation, UsageTotals, Used
from blaxel_mcp.core.private_files import make_folder, make_own_file, make_own_folder, require_safe_folder, user_folder

if TYPE_CHECKING:
    import sqlite3

logger = logging.getLogger(__name__)

MEMORY = ":memory:"
"""The path of a ledger that only this process uses and that ends with it."""

KEPT_DAYS = 400
"""Days of usage that are kept."""

_BUSY_SECONDS = 5.0
"""Timeout for the transaction of another process, which takes milliseconds."""

_REMOVED = "it was removed or replaced while it was in use"


class LedgerError(Exception):
    """The ledger cannot be used; the text names the file and the reason."""


def default_ledger() -> Path:
    """Return the path of the ledger if the settings name none: a file in the user's state folder."""
    return user_folder("state") / "ledger.sqlite3"


class Ledger:
    """A ledger in a file, or in memory for the path `MEMORY`; the file is made and opened on first use.

    All methods but `defer` and `take_deferred` block: call them in a thread. Except for `flush` and `close`, they raise
    `LedgerError` if the ledger cannot be used.

    Attributes:
        path: The file, `MEMORY`, or the address of an engine.
        failure: Why deferred entries could not be written; None since the last transaction that succeeded.
        notice: A sentence about it for receipts; empty for none.
        repair: A sentence on how to repair it.
        is_remote: Whether it compares caps itself, where `check` cannot be called, and keeps what it cannot write.
    """

    is_remote = False
    repair = "Repair that file, or move it away and restart the server to begin a new one."

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.failure: LedgerError | None = None
        self.notice = ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._deferring = threading.Lock()
        self._deferred: list[Entry] = []

    def write(self, entries: Sequence[Entry]) -> list[Used | Exception]:
        """Write entries in one transaction, so that no other process can reserve between a check and its reservation.

        Returns:
            For each entry the usage of its day, or the exception by which its `check` refused it.

        Raises:
            LedgerError: The ledger cannot be used, and nothing is written.
        """
        with self._transaction() as connection:
            return [tables.write(connection, entry) for entry in entries]

    def defer(self, entry: Entry) -> None:
        """Write an entry with the next transaction; its `check` is not called. This does not block."""
        with self._deferring:
            self._deferred.append(entry)

    def withdraw(self, reservation: Reservation) -> None:
        """Release a reservation that failed. It may exist all the same in a ledger that did not answer."""

    def take_deferred(self) -> list[Entry]:
        """Remove the deferred entries from this ledger and return them."""
        with self._deferring:
            deferred, self._deferred = self._deferred, []
        return deferred

    def flush(self) -> None:
        """Write the deferred entries; if the ledger cannot be used, they stay and `failure` says why."""
        if self._deferred:
            try:
                self.write(())
            except LedgerError as error:
                # A busy server flushes several times in a second.
                if str(error) != str(self.failure):
                    logger.warning("%s Calls that were not written yet: %d.", error, len(self._deferred))
                self.failure = error

    def used(self, day: str, account: str) -> Used:
        """Return the usage of a day."""
        with self._transaction() as connection:
            return tables.usage_of_day(connection, day, account)

    def days(self, since: str, account: str) -> list[ModelDay]:
        """Return the usage of each model and day from the day `since` on, in reports' order."""
        with self._transaction() as connection:
            return tables.model_days(connection, since, account)

    def clients(self, since: str, account: str) -> dict[str, UsageTotals]:
        """Return calls, tokens and cost of each client from the day `since` on, the busiest first.

        The account may also be an `Entry.caller`.
        """
        with self._transaction() as connection:
            return tables.client_usages(connection, since, account)

    def calls(self, account: str, *, last: int | None = None, call_id: str | None = None) -> list[str]:
        """Return the records of the last so many calls, or of all, the latest first; or that of one call."""
        with self._transaction() as connection:
            return tables.records(connection, account, last, call_id)

    def forget(self, before: str) -> None:
        """Delete the usage of the days before a day."""
        with self._transaction() as connection:
            tables.delete_days(connection, before)

    def close(self) -> None:
        """Write deferred entries and close the file; the next use opens it again."""
        self.flush()
        with self._lock:
            self._disconnect()

    @contextmanager
    def _transaction(self) -> Iterator["sqlite3.Connection"]:
        import sqlite3  # noqa: PLC0415 - 1.4 MB, for the first call

        with self._lock:
            try:
                connection = self._connect()
                connection.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                raise self._unusable(error) from None
            deferred = self.take_deferred()
            try:
                tables.write_all(connection, deferred)
                yield connection
                connection.execute("COMMIT")
                self.failure = None
            except BaseException as error:
                with self._deferring:
                    self._deferred = deferred + self._deferred
                # A number too large for a column must not cost the answer that it came with.
                if isinstance(error, sqlite3.Error | OverflowError):
                    self._disconnect()
                    raise self._unusable(error) from None
                connection.execute("ROLLBACK")
                raise

    def _connect(self) -> "sqlite3.Connection":
        import sqlite3  # noqa: PLC0415 - as above

        if self._connection is not None:
            if _identity(self.path) != self._identity:
                # SQLite would go on counting in a file that can no longer be opened.
                raise OSError(None, _REMOVED)
            return self._connection
        if self._identity is not None and _identity(self.path) is None:
            # A new file would begin at zero, and a cap that is used up would be open again.
            raise OSError(None, _REMOVED)
        if self.path != MEMORY:
            path = Path(self.path)
            if path == default_ledger():
                make_own_folder(path.parent)
            else:
                # A folder that the user named keeps its mode. Anyone who can write into it could reset the counts:
                # SQLite would apply a journal that is there.
                make_folder(path.parent)
                require_safe_folder(path.parent)
            # SQLite gives its other files the mode of this one.
            make_own_file(path)
        self._connection = connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._identity = _identity(self.path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > tables.VERSION:
            reason = f"it has version {version}, from a newer blaxel-mcp; update this one"
            raise sqlite3.DatabaseError(reason)
        # A crash of the process loses nothing; a crash of the machine may lose the last calls, never the file.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # A thousand small receipts need no more; by default, their pages would take 2 MB of memory.
        connection.execute("PRAGMA cache_size = -256")
        if version < tables.VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {tables.SCHEMA} COMMIT;")
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(connection.Error):
                connection.close()

    def _unusable(self, error: "sqlite3.Error | OSError | OverflowError") -> LedgerError:
        reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
        return LedgerError(f"The ledger {self.path} cannot be used: {reason}.")


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Return the device and inode of a file; None for `MEMORY` and for a missing file."""
    try:
        status = None if path == MEMORY else Path(path).stat()
    except FileNotFoundError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)
