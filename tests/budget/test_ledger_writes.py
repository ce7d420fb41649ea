"""When the ledger is written: together, or a moment later where no cap can refuse the call."""

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from blaxel_mcp.budget import tables
from blaxel_mcp.budget.figures import Entry, Reservation, UsageTotals, Used
from blaxel_mcp.budget.ledger import MEMORY, Ledger, LedgerError
from blaxel_mcp.budget.open_ledgers import GroupCommit
from blaxel_mcp.core.exceptions import BlaxelError

pytestmark = pytest.mark.anyio

DAY, KEY = "2026-11-24", ("w", "m")
SETTLED = UsageTotals(calls=1, total_tokens=7)


def reservation(number: int = 0) -> Reservation:
    return Reservation(call_id=f"call_{number}", day=DAY, account="", key=KEY, tokens=5, nano_usd=0)


def accept(_: Used) -> None:
    """Refuse no call."""


def at_most(calls: int, used: Used) -> None:
    if used.get(KEY, UsageTotals()).calls >= calls:
        raise BlaxelError("full", code="budget_exceeded", origin="local", hint="")


class CountingLedger(Ledger):
    """A ledger that counts its transactions."""

    transactions = 0

    def write(self, entries: Sequence[Entry]) -> list[Used | Exception]:
        self.transactions += 1
        return super().write(entries)


async def test_calls_that_wait_together_share_transactions_and_each_is_checked_alone() -> None:
    ledger = CountingLedger(MEMORY)
    commits = GroupCommit(ledger)
    refused: list[int] = []

    async def reserve(number: int) -> None:
        try:
            await commits.write(Entry(reservation(number), lambda used: at_most(20, used)))
        except BlaxelError:
            refused.append(number)

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(reserve, number)

    assert refused == [*range(20, 64)]
    assert ledger.used(DAY, "")[KEY] == UsageTotals(calls=20, held_tokens=100)
    assert ledger.transactions <= 2


async def test_a_caller_that_is_cancelled_while_it_waits_has_its_reservation() -> None:
    commits = GroupCommit(Ledger(MEMORY))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await commits.write(Entry(reservation(), accept))

    assert commits.ledger.used(DAY, "")[KEY].calls == 1


async def test_a_ledger_that_cannot_be_used_fails_every_caller(tmp_path: Path) -> None:
    commits = GroupCommit(Ledger(tmp_path))
    failed = 0
    for _ in range(2):
        with pytest.raises(LedgerError):
            await commits.write(Entry(reservation(), accept))
        failed += 1

    assert failed == 2


def test_a_deferred_entry_counts_at_once_in_its_process_and_after_a_moment_in_the_file(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path / "ledger.sqlite3"), Ledger(tmp_path / "ledger.sqlite3")
    ledger.used(DAY, "")
    ledger.defer(Entry(reservation(1), accept))
    ledger.defer(Entry(reservation(2), accept))
    ledger.defer(Entry(reservation(1), usage=SETTLED))

    assert ledger.used(DAY, "")[KEY] == UsageTotals(calls=2, total_tokens=7, held_tokens=5)
    assert other.used(DAY, "") == ledger.used(DAY, "")

    ledger.defer(Entry(reservation(2), usage=SETTLED))
    ledger.defer(Entry(reservation(3), accept))
    ledger.defer(Entry(reservation(3)))
    ledger.close()

    assert other.used(DAY, "")[KEY] == SETTLED + SETTLED
    other.close()


async def test_a_deferred_entry_is_written_though_nothing_else_happens(tmp_path: Path) -> None:
    commits, other = GroupCommit(Ledger(tmp_path / "ledger.sqlite3")), Ledger(tmp_path / "ledger.sqlite3")
    for number in range(3):
        commits.defer(Entry(reservation(number), accept))

    with anyio.fail_after(30):
        while not other.used(DAY, ""):
            await anyio.lowlevel.checkpoint()

    assert other.used(DAY, "")[KEY].calls == 3
    commits.defer(Entry(reservation(4), accept))
    await commits.aclose()
    assert other.used(DAY, "")[KEY].calls == 4
    commits.ledger.close()
    other.close()


async def test_deferred_entries_are_written_while_a_busy_event_loop_defers_others(tmp_path: Path) -> None:
    commits, other = GroupCommit(Ledger(tmp_path / "ledger.sqlite3")), Ledger(tmp_path / "ledger.sqlite3")
    numbers = itertools.count()
    with anyio.fail_after(30):
        while not other.used(DAY, ""):
            commits.defer(Entry(reservation(next(numbers)), accept), 0)
            await anyio.lowlevel.checkpoint()
    await commits.aclose()
    commits.ledger.close()
    other.close()


def test_a_transaction_that_fails_keeps_the_deferred_entries(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.mkdir()
    ledger = Ledger(path)
    ledger.defer(Entry(reservation(), accept))
    ledger.flush()
    assert "cannot be used" in str(ledger.failure)

    path.rmdir()
    assert ledger.used(DAY, "")[KEY].calls == 1
    assert not ledger.failure

    ledger.defer(Entry(reservation(2), accept))
    assert [entry.reservation.call_id for entry in ledger.take_deferred()] == ["call_2"]
    ledger.close()


class RecordingConnection(sqlite3.Connection):
    """A connection that keeps the text of its statements."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.statements: set[str] = set()

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        self.statements.add(statement)
        return super().execute(statement, parameters)


def test_batches_of_any_size_need_few_statements_since_sqlite_keeps_them_prepared() -> None:
    connection = RecordingConnection(":memory:")
    connection.executescript(tables.SCHEMA)
    for size in range(1, 301):
        tables.write_all(
            connection, [Entry(reservation(number), usage=SETTLED, client="c", record="{}") for number in range(size)]
        )

    assert len(connection.statements) <= 10
    assert len(tables.records(connection, "", None, None)) == 300
