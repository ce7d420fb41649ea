"""The tables of a ledger's SQLite file, and the statements that read and write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from blaxel_mcp.budget.figures import (
    COLUMNS,
    Entry,
    ModelDay,
    ModelKey,
    Reservation,
    UsageTotals,
    Used,
    busiest_first,
    values_of,
)

if TYPE_CHECKING:
    import sqlite3

KEPT_CALLS = 1000
"""Calls whose receipts are kept."""

_MAX_ROWS = 64
"""Rows in one statement: SQLite keeps each one that it has prepared, 0.4 MB more of them for 256 rows."""

VERSION = 2
"""The version of the tables, in the file's `user_version`."""

SCHEMA = f"""
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
PRAGMA user_version = {VERSION};
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


def write(connection: sqlite3.Connection, entry: Entry) -> Used | Exception:
    """Write one entry; return the usage of its day, or the exception by which its `check` refused it."""
    if entry.check is None:
        write_all(connection, [entry])
    used = usage_of_day(connection, entry.reservation.day, entry.reservation.account)
    if entry.check is not None:
        try:
            entry.check(used)
        except Exception as refusal:  # noqa: BLE001 - the refused caller raises it
            return refusal
        write_all(connection, [entry])
    return used


def write_all(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write entries without checks: one sum per model, and no reservation that is settled among them."""
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
    _write_records(connection, entries)


def usage_of_day(connection: sqlite3.Connection, day: str, account: str) -> Used:
    """Return the usage of one day."""
    used = {key: totals for _, key, totals in _totals(connection, "day = ?", day, account)}
    for _, key, reserved in _reserved(connection, "day = ?", day, account):
        used[key] = used.get(key, UsageTotals()) + reserved
    return used


def model_days(connection: sqlite3.Connection, since: str, account: str) -> list[ModelDay]:
    """Return the usage of each model and day from the day `since` on."""
    totals = {(day, key): totals for day, key, totals in _totals(connection, "day >= ?", since, account)}
    unsettled = {(day, key): reserved.calls for day, key, reserved in _reserved(connection, "day >= ?", since, account)}
    return busiest_first(
        ModelDay(day=day, key=key, totals=totals.get((day, key), UsageTotals()), unsettled=unsettled.get((day, key), 0))
        for day, key in {*totals, *unsettled}
    )


def client_usages(connection: sqlite3.Connection, since: str, account: str) -> dict[str, UsageTotals]:
    """Return calls, tokens and cost of each client from the day `since` on, the busiest first."""
    rows = connection.execute(
        "SELECT client, SUM(calls), SUM(total_tokens), SUM(nano_usd) FROM clients "
        "WHERE day >= ? AND account = ? GROUP BY 1 ORDER BY 2 DESC, 1",
        (since, account),
    )
    return {row[0]: UsageTotals(calls=row[1], total_tokens=row[2], nano_usd=row[3]) for row in rows}


def records(connection: sqlite3.Connection, account: str, last: int | None, call_id: str | None) -> list[str]:
    """Return the records of the last calls, the latest first, or of one call."""
    rows = connection.execute(
        "SELECT record FROM calls WHERE account = ? AND call_id = COALESCE(?, call_id) ORDER BY number DESC LIMIT ?",
        (account, call_id, -1 if last is None else last),
    )
    return [record for (record,) in rows]


def delete_days(connection: sqlite3.Connection, before: str) -> None:
    """Delete the usage of the days before a day."""
    for table in ("totals", "reservations", "clients"):
        connection.execute(f"DELETE FROM {table} WHERE day < ?", (before,))  # noqa: S608 - the names above


def _day_key(reservation: Reservation) -> tuple[str, str, str, str]:
    return (reservation.day, reservation.account, *reservation.key)


def _write_records(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write the records of calls: one sum per client, and all receipts together.

    Each step of a statement hands the interpreter over to the event loop and back.
    """
    clients: dict[tuple[str, str, str], UsageTotals] = {}
    receipts: list[tuple[str, str, str]] = []
    for entry in entries:
        reservation = entry.reservation
        if entry.usage is not None:
            for account in {reservation.account, entry.caller or reservation.account}:
                key = (reservation.day, account, entry.client)
                clients[key] = clients.get(key, UsageTotals()) + entry.usage
        if entry.record is not None:
            receipts.append((reservation.call_id, reservation.account, entry.record))
    sums = [(*key, totals.calls, totals.total_tokens, totals.nano_usd) for key, totals in clients.items()]
    connection.executemany(_ADD_CLIENT, sums)
    start = 0
    while rest := len(receipts) - start:
        # Powers of two, since SQLite keeps each statement that it has prepared: one per number of rows takes megabytes.
        rows = receipts[start : start + min(_MAX_ROWS, 1 << rest.bit_length() - 1)]
        start += len(rows)
        values = ", ".join(["(?, ?, ?)"] * len(rows))
        connection.execute(
            f"INSERT OR REPLACE INTO calls (call_id, account, record) VALUES {values}",  # noqa: S608 - question marks
            [*chain.from_iterable(rows)],
        )
    if receipts:
        connection.execute("DELETE FROM calls WHERE number <= (SELECT MAX(number) FROM calls) - ?", (KEPT_CALLS,))


_Totals = Iterator[tuple[str, ModelKey, UsageTotals]]
"""Days, models and the usage of each model on that day."""


def _totals(connection: sqlite3.Connection, days: str, day: str, account: str) -> _Totals:
    columns = ", ".join(COLUMNS)
    for row in connection.execute(
        f"SELECT day, workspace, model, {columns} FROM totals WHERE {days} AND account = ?",  # noqa: S608 - all of it is in this module
        (day, account),
    ):
        yield row[0], (row[1], row[2]), UsageTotals(*row[3:])


def _reserved(connection: sqlite3.Connection, days: str, day: str, account: str) -> _Totals:
    for row in connection.execute(
        "SELECT day, workspace, model, COUNT(*), SUM(tokens), SUM(nano_usd) FROM reservations "  # noqa: S608 - the same
        f"WHERE {days} AND account = ? GROUP BY 1, 2, 3",
        (day, account),
    ):
        yield row[0], (row[1], row[2]), UsageTotals(calls=row[3], held_tokens=row[4], held_nano_usd=row[5])
