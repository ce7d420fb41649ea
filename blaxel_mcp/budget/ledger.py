"""The ledger: usage per day and model, in one SQLite file for all processes of a user.

A call is reserved before it is sent and settled afterwards. The reservation of a process that died remains and counts
against the caps: its call may have been billed. Every method blocks and has to be called in a thread.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from blaxel_mcp.budget.figures import COLUMNS, ModelDay, ModelKey, Reservation, UsageTotals, values_of
from blaxel_mcp.core.private_files import make_folder, make_own_file, make_own_folder, require_safe_folder
from blaxel_mcp.core.user_folders import user_folder

MEMORY = ":memory:"
"""The path of a ledger that only this process uses, and that ends with it."""

KEPT_DAYS = 400
"""Days of usage that are kept."""

_BUSY_SECONDS = 5.0
"""Timeout for the transaction of another process, which takes milliseconds."""

_REMOVED = "it was removed or replaced while it was in use"

_VERSION = 1


class LedgerError(Exception):
    """The ledger cannot be used; the text names the file and the reason."""


Used = MappingProxyType[ModelKey, UsageTotals]
"""The usage of each model on one day; calls in flight are included with their estimates."""

CapCheck = Callable[[Used], None]
"""Gets the usage of the day, and raises an exception to refuse a call."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS totals (
    day TEXT NOT NULL, account TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL" for name in COLUMNS)},
    PRIMARY KEY (day, account, workspace, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    call_id TEXT PRIMARY KEY, day TEXT NOT NULL, account TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL,
    tokens INTEGER NOT NULL, nano_usd INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_by_day ON reservations (day, account);
PRAGMA user_version = {_VERSION};
"""

_ADD = f"""
INSERT INTO totals (day, account, workspace, model, {", ".join(COLUMNS)})
VALUES (?, ?, ?, ?, {", ".join("?" for _ in COLUMNS)})
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)}
"""  # noqa: S608 - the names are fields of the dataclass

_RESERVED = "SELECT day, workspace, model, COUNT(*), SUM(tokens), SUM(nano_usd) FROM reservations"


def default_ledger() -> Path:
    """Return the path of the ledger if the settings name none: a file in the user's state folder."""
    return user_folder("state") / "ledger.sqlite3"


class Ledger:
    """A ledger; its file is made and opened on first use.

    Args:
        path: The file, or `MEMORY`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def reserve(self, reservation: Reservation, check: CapCheck) -> None:
        """Reserve a call if `check` accepts the usage of the day so far; an exception from `check` is passed on.

        The check and the reservation are one transaction, so that no other process can reserve in between.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        values = (reservation.call_id, *_day_key(reservation), reservation.tokens, reservation.nano_usd)
        with self._transaction() as connection:
            check(_used(connection, reservation.day, reservation.account))
            connection.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def settle(self, reservation: Reservation, usage: UsageTotals | None) -> Used:
        """Replace a reservation by the usage of its call.

        Args:
            reservation: The reservation.
            usage: The usage of the call; None if it was never sent.

        Returns:
            The usage of the reservation's day.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM reservations WHERE call_id = ?", (reservation.call_id,))
            if usage is not None:
                connection.execute(_ADD, (*_day_key(reservation), *values_of(usage)))
            return _used(connection, reservation.day, reservation.account)

    def used(self, day: str, account: str) -> Used:
        """Return the usage of a day.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return _used(connection, day, account)

    def days(self, since: str, account: str) -> list[ModelDay]:
        """Return the usage of each model and day from the day `since` on, the latest day and the busiest model first.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            totals = _totals(connection, "day >= ? AND account = ?", (since, account))
            rows = connection.execute(f"{_RESERVED} WHERE day >= ? AND account = ? GROUP BY 1, 2, 3", (since, account))
            unsettled = {(day, (workspace, model)): count for day, workspace, model, count, _, _ in rows}
        days = [
            ModelDay(
                day=day, key=key, totals=totals.get((day, key), UsageTotals()), unsettled=unsettled.get((day, key), 0)
            )
            for day, key in {*totals, *unsettled}
        ]
        days.sort(key=lambda entry: (-entry.totals.calls - entry.unsettled, entry.key))
        return sorted(days, key=lambda entry: entry.day, reverse=True)

    def forget(self, before: str) -> None:
        """Delete the usage of the days before a day.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM totals WHERE day < ?", (before,))
            connection.execute("DELETE FROM reservations WHERE day < ?", (before,))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._disconnect()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._connect()
                connection.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                raise self._unusable(error) from None
            try:
                yield connection
                connection.execute("COMMIT")
            except (sqlite3.Error, OverflowError) as error:
                # A number too large for a column must not cost the answer that it came with.
                self._disconnect()
                raise self._unusable(error) from None
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            if _identity(self.path) != self._identity:
                # SQLite would go on counting in a file that nobody can open any more.
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
                # A folder that the user named keeps its mode. Whoever can write into it could reset the counts, with a
                # journal that SQLite would apply.
                make_folder(path.parent)
                require_safe_folder(path.parent)
            # SQLite gives its other files the mode of this one.
            make_own_file(path)
        self._connection = connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._identity = _identity(self.path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.DatabaseError(f"it has version {version}, from a newer blaxel-mcp")
        # A crash of the process loses nothing; a crash of the machine may lose the last calls, never the file.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < _VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _unusable(self, error: sqlite3.Error | OSError | OverflowError) -> LedgerError:
        reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
        return LedgerError(f"The ledger {self.path} cannot be used: {reason}.")


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None for `MEMORY` and if there is no file."""
    try:
        status = None if path == MEMORY else Path(path).stat()
    except FileNotFoundError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


def _day_key(reservation: Reservation) -> tuple[str, str, str, str]:
    return (reservation.day, reservation.account, *reservation.key)


def _used(connection: sqlite3.Connection, day: str, account: str) -> Used:
    totals = _totals(connection, "day = ? AND account = ?", (day, account))
    used = {key: settled for (_, key), settled in totals.items()}
    rows = connection.execute(f"{_RESERVED} WHERE day = ? AND account = ? GROUP BY 1, 2, 3", (day, account))
    for _, workspace, model, count, tokens, nano_usd in rows:
        reserved = UsageTotals(calls=count, held_tokens=tokens, held_nano_usd=nano_usd)
        used[workspace, model] = used.get((workspace, model), UsageTotals()) + reserved
    return MappingProxyType(used)


def _totals(
    connection: sqlite3.Connection, where: str, values: tuple[str, ...]
) -> dict[tuple[str, ModelKey], UsageTotals]:
    rows = connection.execute(
        f"SELECT day, workspace, model, {', '.join(COLUMNS)} FROM totals WHERE {where}",  # noqa: S608 - all of it is in this module
        values,
    )
    return {(row[0], (row[1], row[2])): UsageTotals(*row[3:]) for row in rows}
