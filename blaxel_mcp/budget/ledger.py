"""The ledger: what calls have taken, per day and model, in one SQLite file for all processes of a user.

Everything here blocks; it is called in a thread. A call is reserved before it is sent and settled after
it. A reservation whose process died stays, and counts: the call may have been paid for.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import platformdirs

from blaxel_mcp.budget.figures import COLUMNS, ModelDay, ModelKey, Reservation, UsageTotals, values_of
from blaxel_mcp.core.private_files import make_folder, make_own_file, make_own_folder

MEMORY = ":memory:"
"""The path of a ledger that is this process's alone, and gone with it."""

KEPT_DAYS = 400

_BUSY_SECONDS = 5.0
"""How long another process's transaction, which takes milliseconds, is waited for."""

_REMOVED = "it was removed or replaced while it was in use"

_VERSION = 1


class LedgerError(Exception):
    """The ledger cannot be used; its text says of which file that is true, and why."""


Used = MappingProxyType[ModelKey, UsageTotals]
Check = Callable[[Used], None]
"""Is shown what each model has used of a day, and raises to refuse the call."""

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
"""  # noqa: S608 - the names are the dataclass's own

_OPEN = "SELECT day, workspace, model, COUNT(*), SUM(tokens), SUM(nano_usd) FROM reservations"


def default_ledger() -> Path:
    """Where the ledger is when the settings do not say: in the user's state directory."""
    return platformdirs.user_state_path("blaxel-mcp", appauthor=False) / "ledger.sqlite3"


class Ledger:
    """One ledger. It is opened at its first use, and makes its file then.

    Args:
        path: The file, or `MEMORY`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def reserve(self, reservation: Reservation, check: Check) -> None:
        """Reserve a call, unless `check` raises at what the day's calls have used so far.

        No other process can come in between the check and the reservation.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        values = (reservation.call_id, *_day_key(reservation), reservation.tokens, reservation.nano_usd)
        with self._transaction() as connection:
            check(_used(connection, reservation.day, reservation.account))
            connection.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def settle(self, reservation: Reservation, taken: UsageTotals | None) -> Used:
        """Put what a call has taken in the place of its reservation; None for one that was never sent.

        Returns:
            What each model has used of the day.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM reservations WHERE call_id = ?", (reservation.call_id,))
            if taken is not None:
                connection.execute(_ADD, (*_day_key(reservation), *values_of(taken)))
            return _used(connection, reservation.day, reservation.account)

    def used(self, day: str, account: str) -> Used:
        """What each model has used of a day, calls in flight included.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        with self._transaction() as connection:
            return _used(connection, day, account)

    def days(self, since: str, account: str) -> list[ModelDay]:
        """What each model has taken in each day from `since` on, the latest day and the busiest model first.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        with self._transaction() as connection:
            totals = _totals(connection, "day >= ? AND account = ?", (since, account))
            rows = connection.execute(f"{_OPEN} WHERE day >= ? AND account = ? GROUP BY 1, 2, 3", (since, account))
            waiting = {(day, (workspace, model)): count for day, workspace, model, count, _, _ in rows}
        found = [
            ModelDay(
                day=day, key=key, figures=totals.get((day, key), UsageTotals()), unsettled=waiting.get((day, key), 0)
            )
            for day, key in {*totals, *waiting}
        ]
        found.sort(key=lambda entry: (-entry.figures.calls - entry.unsettled, entry.key))
        return sorted(found, key=lambda entry: entry.day, reverse=True)

    def forget(self, before: str) -> None:
        """Drop the days before this one.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM totals WHERE day < ?", (before,))
            connection.execute("DELETE FROM reservations WHERE day < ?", (before,))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._drop()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, OSError) as error:
                self._drop()
                raise self._unusable(error) from None
            try:
                yield connection
                connection.execute("COMMIT")
            except (sqlite3.Error, OverflowError) as error:
                # A figure that no column holds is no reason to lose the answer that it came with.
                self._drop()
                raise self._unusable(error) from None
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            self._check_identity()
            return self._connection
        if self.path != MEMORY:
            if self._identity is not None and not Path(self.path).exists():
                # Another one would begin at nothing, and a cap that was used up would not be.
                raise OSError(None, _REMOVED)
            make_private(Path(self.path))
        self._connection = connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._identity = _identity(self.path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, which a newer blaxel-mcp has made")
        # A crash of the process loses nothing; a crash of the machine may lose the last calls, never the file.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < _VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        return connection

    def _check_identity(self) -> None:
        """Notice that the file was taken away: SQLite would go on counting into nothing."""
        try:
            same = _identity(self.path) == self._identity
        except FileNotFoundError:
            same = False
        if not same:
            raise OSError(None, _REMOVED)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _unusable(self, error: sqlite3.Error | OSError | OverflowError) -> LedgerError:
        reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
        return LedgerError(f"The ledger {self.path} cannot be used: {reason}.")


def make_private(path: Path) -> None:
    """Make the file, and the folder it is in, for this user alone; SQLite gives its own files the same mode.

    Raises:
        OSError: the disk refused it.
    """
    # A folder that the user has named is not ours to close.
    (make_own_folder if path == default_ledger() else make_folder)(path.parent)
    make_own_file(path)


def _identity(path: Path | str) -> tuple[int, int] | None:
    if path == MEMORY:
        return None
    found = os.stat(path)  # noqa: PTH116 - `path` may be text
    return found.st_dev, found.st_ino


def _day_key(reservation: Reservation) -> tuple[str, str, str, str]:
    return (reservation.day, reservation.account, *reservation.key)


def _used(connection: sqlite3.Connection, day: str, account: str) -> Used:
    used = {key: taken for (_, key), taken in _totals(connection, "day = ? AND account = ?", (day, account)).items()}
    rows = connection.execute(f"{_OPEN} WHERE day = ? AND account = ? GROUP BY 1, 2, 3", (day, account))
    for _, workspace, model, count, tokens, nano_usd in rows:
        held = UsageTotals(calls=count, held_tokens=tokens, held_nano_usd=nano_usd)
        used[workspace, model] = used.get((workspace, model), UsageTotals()) + held
    return MappingProxyType(used)


def _totals(
    connection: sqlite3.Connection, where: str, values: tuple[str, ...]
) -> dict[tuple[str, ModelKey], UsageTotals]:
    rows = connection.execute(
        f"SELECT day, workspace, model, {', '.join(COLUMNS)} FROM totals WHERE {where}",  # noqa: S608 - ours
        values,
    )
    return {(row[0], (row[1], row[2])): UsageTotals(*row[3:]) for row in rows}
