"""The ledger: usage per day and model, in one SQLite file for all processes of a user.

A call is reserved before it is sent and settled afterwards. The reservation of a process that died remains and counts
against the caps: its call may have been billed. Every method but `defer` blocks and has to be called in a thread.
"""

import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from blaxel_mcp.budget.figures import (
    COLUMNS,
    CallRecord,
    ClientUsage,
    ModelDay,
    ModelKey,
    Reservation,
    UsageTotals,
    values_of,
)
from blaxel_mcp.core.private_files import make_folder, make_own_file, make_own_folder, require_safe_folder
from blaxel_mcp.core.user_folders import user_folder
from blaxel_mcp.settings.schema import LEASE_SECONDS

logger = logging.getLogger(__name__)

MEMORY = ":memory:"
"""The path of the ledger that a process shares with nobody, and that ends with it."""

KEPT_DAYS = 400
"""Days of usage that are kept."""

_BUSY_SECONDS = 5.0
"""Timeout for the transaction of another process, which takes milliseconds."""

_REMOVED = "it was removed or replaced while it was in use"

KEPT_CALLS = 1000
"""Calls whose receipts are kept."""

_VERSION = 2


class LedgerError(Exception):
    """The ledger cannot be used; the text names the file and the reason."""


Used = MappingProxyType[ModelKey, UsageTotals]
"""The usage of each model on one day; calls in flight are included with their estimates."""

CapCheck = Callable[[Used], None]
"""Gets the usage of the day, and raises an exception to refuse a call."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of the ledger for one call: its reservation, or its settlement.

    Attributes:
        reservation: The reservation.
        check: Decides whether the call is reserved; None settles the call.
        usage: The usage of a call that is settled; None if it was never sent.
        record: What else is kept of a call that is settled; None for nothing.
    """

    reservation: Reservation
    check: CapCheck | None = None
    usage: UsageTotals | None = None
    record: CallRecord | None = None


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
CREATE TABLE IF NOT EXISTS clients (
    day TEXT NOT NULL, account TEXT NOT NULL, client TEXT NOT NULL,
    calls INTEGER NOT NULL, total_tokens INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
    PRIMARY KEY (day, account, client)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT, call_id TEXT UNIQUE NOT NULL, account TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS reservations_by_day ON reservations (day, account);
PRAGMA user_version = {_VERSION};
"""

_ADD = f"""
INSERT INTO totals (day, account, workspace, model, {", ".join(COLUMNS)})
VALUES (?, ?, ?, ?, {", ".join("?" for _ in COLUMNS)})
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)}
"""  # noqa: S608 - the names are fields of the dataclass

_ADD_CLIENT = """
INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
calls = calls + excluded.calls, total_tokens = total_tokens + excluded.total_tokens,
nano_usd = nano_usd + excluded.nano_usd
"""

_RESERVED = "SELECT day, workspace, model, COUNT(*), SUM(tokens), SUM(nano_usd) FROM reservations"


def default_ledger() -> Path:
    """Return the path of the ledger if the settings name none: a file in the user's state folder."""
    return user_folder("state") / "ledger.sqlite3"


class Ledger:
    """A ledger; its file is made and opened on first use.

    Args:
        path: The file, or `MEMORY`.

    Attributes:
        label: What a report calls it.
        failure: Why deferred entries could not be written; None since the last transaction that succeeded.
        notice: What a receipt has to say about it; empty for nothing.
        is_remote: Whether it compares caps itself, where `check` cannot be called, and keeps what it cannot write.
    """

    is_remote = False

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.label = str(path)
        self.failure: LedgerError | None = None
        self.notice = ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._deferring = threading.Lock()
        self._deferred: list[Entry] = []

    def reserve(self, reservation: Reservation, check: CapCheck) -> None:
        """Reserve a call if `check` accepts the usage of the day so far; an exception from `check` is passed on.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        (outcome,) = self.write([Entry(reservation, check)])
        if isinstance(outcome, Exception):
            raise outcome

    def settle(self, reservation: Reservation, usage: UsageTotals | None) -> None:
        """Replace a reservation by the usage of its call; None if it was never sent.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        self.write([Entry(reservation, usage=usage)])

    def write(self, entries: Sequence[Entry]) -> list[Used | Exception]:
        """Write entries in one transaction, so that no other process can reserve between a check and its reservation.

        Returns:
            For each entry the usage of its day, or the exception by which its `check` refused it.

        Raises:
            LedgerError: The ledger cannot be used, and nothing is written.
        """
        with self._transaction() as connection:
            return [_outcome(connection, entry) for entry in entries]

    def defer(self, entry: Entry) -> None:
        """Leave an entry, which may not refuse, to the next transaction. This does not block."""
        with self._deferring:
            self._deferred.append(entry)

    def take_deferred(self) -> list[Entry]:
        """Return the entries that are not written yet; they are then no longer this ledger's."""
        with self._deferring:
            deferred, self._deferred = self._deferred, []
        return deferred

    def flush(self) -> None:
        """Write the deferred entries; if the ledger cannot be used, they stay and `failure` says why."""
        if self._deferred:
            try:
                self.write(())
            except LedgerError as error:
                self.failure = error
                logger.warning("%s Calls that were not written yet: %d.", error, len(self._deferred))

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

    def clients(self, since: str, account: str) -> list[ClientUsage]:
        """Return the usage of each client from the day `since` on, the busiest first.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT client, SUM(calls), SUM(total_tokens), SUM(nano_usd) FROM clients "
                "WHERE day >= ? AND account = ? GROUP BY 1 ORDER BY 2 DESC, 1",
                (since, account),
            ).fetchall()
        return [ClientUsage(client=row[0], calls=row[1], total_tokens=row[2], nano_usd=row[3]) for row in rows]

    def calls(self, account: str, *, last: int | None = None, call_id: str | None = None) -> list[str]:
        """Return the records of the last calls, the latest first, or of one call.

        Args:
            account: Whose calls.
            last: How many; None for all that are kept.
            call_id: The one call; None for any.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT record FROM calls WHERE account = ? AND call_id = COALESCE(?, call_id) "
                "ORDER BY number DESC LIMIT ?",
                (account, call_id, -1 if last is None else last),
            ).fetchall()
        return [record for (record,) in rows]

    def forget(self, before: str) -> None:
        """Delete the usage of the days before a day.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM totals WHERE day < ?", (before,))
            connection.execute("DELETE FROM reservations WHERE day < ?", (before,))
            connection.execute("DELETE FROM clients WHERE day < ?", (before,))

    def close(self) -> None:
        """Write deferred entries and close the file; the next use opens it again."""
        self.flush()
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
            deferred = self.take_deferred()
            try:
                _write(connection, deferred)
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


LedgerPath = Path | str | SecretStr
"""A file, `MEMORY`, or the URL of a Redis, which may hold a password."""


class _Ledgers:
    """The ledgers of this process: one for each path, whoever uses it.

    An edit of the settings or another caller must not begin to count at zero. So a ledger in memory, and what is known
    of a file, last until the last user and the server are gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledgers: dict[tuple[str | SecretStr, str], Ledger] = {}
        self._users: dict[Ledger, int] = {}
        self._keepers = 0

    @property
    def all(self) -> tuple[Ledger, ...]:
        with self._lock:
            return tuple(self._ledgers.values())

    def acquire(self, path: LedgerPath, instead_of: str, lease_seconds: float) -> Ledger:
        key = (path if isinstance(path, SecretStr) else str(path), instead_of)
        with self._lock:
            ledger = self._ledgers.get(key)
            if ledger is None:
                ledger = self._ledgers[key] = self._new(path, lease_seconds)
            self._users[ledger] = self._users.get(ledger, 0) + 1
            return ledger

    def release(self, ledger: Ledger) -> None:
        with self._lock:
            self._users[ledger] -= 1
            unused = [] if self._users[ledger] else self._unused()
        for other in unused:
            other.close()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
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

    def _new(self, path: LedgerPath, lease_seconds: float) -> Ledger:
        if isinstance(path, SecretStr):
            # Imported here: only who shares a budget needs it.
            from blaxel_mcp.budget.redis_ledger import RedisLedger  # noqa: PLC0415
            from blaxel_mcp.shared.engine import Engine  # noqa: PLC0415

            return RedisLedger(Engine(path), lease_seconds=lease_seconds)
        return Ledger(path)

    def _unused(self) -> list[Ledger]:
        """Return the ledgers to close, and forget them unless a server still runs."""
        unused = {key: ledger for key, ledger in self._ledgers.items() if not self._users[ledger]}
        if self._keepers:
            return [ledger for ledger in unused.values() if ledger.path != MEMORY]
        for key, ledger in unused.items():
            del self._ledgers[key], self._users[ledger]
        return list(unused.values())


_ledgers = _Ledgers()


def shared_ledger(path: LedgerPath, *, instead_of: str = "", lease_seconds: float = LEASE_SECONDS) -> Ledger:
    """Return the one ledger that this process has at a path; `release_ledger` has to follow.

    Args:
        path: The file, `MEMORY`, or the URL of a Redis.
        instead_of: The ledger that cannot be used, which the one in memory replaces; empty for none.
        lease_seconds: How long a call that is reserved in Redis counts as running without a sign of its process.

    Raises:
        ConfigurationError: The ledger is in Redis, and the extra `redis` is not installed.
    """
    return _ledgers.acquire(path, instead_of, lease_seconds)


def release_ledger(ledger: Ledger) -> None:
    """Release a ledger of `shared_ledger`; its file is closed after the last user."""
    _ledgers.release(ledger)


def ledgers_kept() -> AbstractAsyncContextManager[None]:
    """Return a context in which no ledger is forgotten between two users: for as long as a server runs."""
    return _ledgers.kept()


def flush_ledgers() -> None:
    """Write the deferred entries of all ledgers of this process."""
    for ledger in _ledgers.all:
        ledger.flush()


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None for `MEMORY` and if there is no file."""
    try:
        status = None if path == MEMORY else Path(path).stat()
    except FileNotFoundError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


def _day_key(reservation: Reservation) -> tuple[str, str, str, str]:
    return (reservation.day, reservation.account, *reservation.key)


def _outcome(connection: sqlite3.Connection, entry: Entry) -> Used | Exception:
    if entry.check is None:
        _write(connection, [entry])
    used = _used(connection, entry.reservation.day, entry.reservation.account)
    if entry.check is not None:
        try:
            entry.check(used)
        except Exception as refusal:  # noqa: BLE001 - it is passed on to the caller who is refused
            return refusal
        _write(connection, [entry])
    return used


def _write(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write what remains of entries: nothing of reservations that are settled among them, and one sum per model."""
    reserved: dict[str, Reservation] = {}
    settled: list[tuple[str]] = []
    sums: dict[tuple[str, str, str, str], UsageTotals] = {}
    for entry in entries:
        reservation = entry.reservation
        if entry.check is not None:
            reserved[reservation.call_id] = reservation
            continue
        if reserved.pop(reservation.call_id, None) is None:
            settled.append((reservation.call_id,))
        if entry.usage is not None:
            key = _day_key(reservation)
            sums[key] = sums.get(key, UsageTotals()) + entry.usage
    connection.executemany("DELETE FROM reservations WHERE call_id = ?", settled)
    connection.executemany(
        "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(each.call_id, *_day_key(each), each.tokens, each.nano_usd) for each in reserved.values()],
    )
    connection.executemany(_ADD, [(*key, *values_of(totals)) for key, totals in sums.items()])
    for entry in entries:
        if entry.record is not None:
            _write_record(connection, entry.reservation, entry.usage, entry.record)


def _write_record(
    connection: sqlite3.Connection, reservation: Reservation, usage: UsageTotals | None, record: CallRecord
) -> None:
    if usage is not None:
        amounts = (usage.calls, usage.total_tokens, usage.nano_usd)
        connection.execute(_ADD_CLIENT, (reservation.day, reservation.account, record.client, *amounts))
    if record.text is not None:
        row = (reservation.call_id, reservation.account, record.text)
        connection.execute("INSERT OR REPLACE INTO calls (call_id, account, record) VALUES (?, ?, ?)", row)
        connection.execute("DELETE FROM calls WHERE number <= (SELECT MAX(number) FROM calls) - ?", (KEPT_CALLS,))


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
