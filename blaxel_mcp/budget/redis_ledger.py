"""The ledger in Redis or Valkey: one budget for processes on many machines.

A reservation is a lease. Its owner renews it; any other process that finds it expired books the call as lost, with its
estimate, and what the owner reports after that replaces the estimate. Reserving and settling are one script each, and
take effect once per reservation, however often they are sent.
"""

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from blaxel_mcp.budget import redis_scripts
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
from blaxel_mcp.budget.ledger import KEPT_DAYS, Ledger, LedgerError, default_ledger
from blaxel_mcp.budget.shared.engine import TAG, Command, Engine, SharedStateError, hashed
from blaxel_mcp.budget.shared.state import Heartbeat
from blaxel_mcp.budget.tables import KEPT_CALLS

_EPOCH, _LEASES = f"{TAG}:budget:epoch", f"{TAG}:budget:leases"

_MAX_WITHDRAWN = 1000
"""Maximum entries that wait for the engine; a failed reservation beyond them expires as lost, if it exists."""

_DAY_SECONDS = KEPT_DAYS * 86_400
_SETTLED_SECONDS = 3600
"""How long a settled reservation is remembered, so that it is not settled twice. A process that did not hear of the
first time repeats it within seconds, or when the engine is back."""

_MAX_SWEPT = 100
"""Expired reservations that one sweep books as lost; the next sweep is a few seconds away."""


class RedisLedger(Ledger):
    """A ledger in Redis or Valkey, with the methods and errors of `Ledger`. It closes its engine.

    Entries that cannot be written are kept in this process, and written as soon as the engine is back. The records of
    calls stay in the ledger of this machine, the user's own or a given file: others see only figures.
    """

    is_remote = True
    repair = "Check that the engine runs and that its URL, in budget.ledger or shared.url, is right."

    def __init__(self, engine: Engine, *, lease_seconds: float, records: Path | None = None) -> None:
        super().__init__(engine.label)
        self._engine = engine
        self._records = Ledger(records or default_ledger())
        self._lease_ms = round(lease_seconds * 1000)
        self._owner = secrets.token_hex(8)
        self._running: set[str] = set()
        self._epoch: bytes | None = None
        self._heartbeat = Heartbeat(self._beat, lease_seconds)

    def write(self, entries: Sequence[Entry]) -> list[Used | Exception]:
        """Write entries, and those that were kept before them, as `Ledger.write` does.

        If the engine cannot be used, settlements are kept for later, and no call counts as reserved.
        """
        kept = self.take_deferred()
        every = [*kept, *entries]
        try:
            answers = self._engine.run_all([self._command(entry) for entry in every])
        except SharedStateError as error:
            # Its beats try again.
            self._heartbeat.start()
            with self._deferring:
                self._deferred = [*kept, *(entry for entry in entries if entry.check is None), *self._deferred]
            raise LedgerError(f"The ledger cannot be used: {error}.") from None
        self.failure = None
        outcomes = [self._outcome(entry, answer) for entry, answer in zip(every, answers, strict=True)]
        return outcomes[len(kept) :]

    def withdraw(self, reservation: Reservation) -> None:
        """Release a reservation that failed: the connection may have broken after it was made."""
        with self._deferring:
            if len(self._deferred) < _MAX_WITHDRAWN:
                self._deferred.append(Entry(reservation))

    def used(self, day: str, account: str) -> Used:
        """Return the usage of a day."""
        (fields,) = self._read([_day_key(day, account)])
        return _used(fields)

    def days(self, since: str, account: str) -> list[ModelDay]:
        """Return the usage of each model and day from the day `since` on, in reports' order."""
        days = [*_days_from(since)]
        return busiest_first(
            ModelDay(day=day, key=key, totals=totals, unsettled=reserved.calls)
            for day, fields in zip(days, self._read([_day_key(day, account) for day in days]), strict=True)
            for key, (totals, reserved) in _books(fields).items()
            if totals != UsageTotals() or reserved.calls
        )

    def clients(self, since: str, account: str) -> dict[str, UsageTotals]:
        """Do as `Ledger.clients` does."""
        sums: dict[str, Counter[str]] = {}
        for fields in self._read([_clients_key(day, account) for day in _days_from(since)]):
            for field, value in zip(fields[::2], fields[1::2], strict=True):
                figure, _, client = field.decode().partition("|")
                sums.setdefault(client, Counter())[figure] += int(value)
        return {
            client: UsageTotals(calls=figures["calls"], total_tokens=figures["tokens"], nano_usd=figures["nano_usd"])
            for client, figures in sorted(sums.items(), key=lambda item: (-item[1]["calls"], item[0]))
        }

    def calls(self, account: str, *, last: int | None = None, call_id: str | None = None) -> list[str]:
        """Return the records of the last calls of this machine, the latest first, or of one call."""
        return self._records.calls(account, last=last, call_id=call_id)

    def forget(self, before: str) -> None:
        """Do nothing: each day expires by itself."""

    def close(self) -> None:
        """Write the deferred entries if the engine can be used, and close the connections."""
        self._heartbeat.stop()
        self.flush()
        # The next sweep of any other process books the rest, by its estimates.
        self.take_deferred()
        self._engine.close()
        self._records.close()

    def _command(self, entry: Entry) -> Command:
        reservation = entry.reservation
        call_id, model = _id_of(reservation), "|".join(reservation.key)
        reservation_key, day = _held_key(call_id), _day_key(reservation.day, reservation.account)
        if entry.check is not None:
            caps = json.dumps([asdict(cap) for cap in reservation.caps])
            return Command(
                redis_scripts.RESERVE,
                (_EPOCH, _LEASES, reservation_key, day),
                (
                    *(call_id, self._owner, secrets.token_hex(8), self._lease_ms, _DAY_SECONDS),
                    *(model, reservation.tokens, reservation.nano_usd, caps),
                ),
            )
        totals = entry.usage or UsageTotals()
        accounts = {reservation.account, entry.caller or reservation.account}
        figures = zip(COLUMNS, values_of(totals), strict=True)
        return Command(
            redis_scripts.SETTLE,
            (_LEASES, reservation_key, day, *(_clients_key(reservation.day, account) for account in accounts)),
            (
                *(call_id, model, _SETTLED_SECONDS, _DAY_SECONDS, "0" if entry.usage is None else "1"),
                *(entry.client, totals.total_tokens, totals.nano_usd),
                *(item for column, figure in figures for item in (column, int(figure))),
            ),
        )

    def _outcome(self, entry: Entry, answer: Any) -> Used | Exception:
        call_id = _id_of(entry.reservation)
        if entry.check is None:
            self._running.discard(call_id)
            if entry.record is not None:
                self._records.defer(replace(entry, usage=None))
            return _used(answer)
        state, epoch, fields = answer
        self._watch_epoch(epoch, entry.reservation.day)
        used = _used(fields)
        if state == b"held":
            self._running.add(call_id)
            self._heartbeat.start()
        try:
            entry.check(used)
        except Exception as refusal:  # noqa: BLE001 - it is passed on to the caller who is refused
            if state == b"held":
                self.defer(Entry(entry.reservation))
            return refusal
        if state != b"held":
            return LedgerError(f"The ledger {self.path} did not accept the call: {state.decode()}.")
        return used

    def _beat(self) -> None:
        self._records.flush()
        if self._records.failure:
            # It may be unusable for as long as the process lives, as on a machine without a folder to write into.
            for entry in self._records.take_deferred()[-KEPT_CALLS:]:
                self._records.defer(entry)
        if self._deferred:
            try:
                self.write(())
            except LedgerError as error:
                raise SharedStateError(str(error)) from None
        if running := tuple(self._running):
            self._engine.run(redis_scripts.BEAT, (_LEASES,), self._lease_ms, *running)
        self._sweep()

    def _sweep(self) -> None:
        self._engine.run(redis_scripts.SWEEP, (_LEASES,), _held_key(""), _MAX_SWEPT)

    def _watch_epoch(self, epoch: bytes, day: str) -> None:
        """Notice that the engine was emptied: what was used before no longer counts."""
        if self._epoch is None or epoch == self._epoch:
            if self.notice and day not in self.notice:
                self.notice = ""
        else:
            self.notice = f"the ledger {self.path} was emptied on {day}: earlier calls no longer count against the caps"
        self._epoch = epoch

    def _read(self, keys: Sequence[str]) -> list[Sequence[bytes]]:
        if self._deferred:
            self.write(())
        try:
            self._sweep()
            days = self._engine.batch(lambda pipeline: [pipeline.hgetall(key) for key in keys])
        except SharedStateError as error:
            raise LedgerError(f"The ledger cannot be used: {error}.") from None
        return [[item for pair in day.items() for item in pair] for day in days]


def _id_of(reservation: Reservation) -> str:
    return f"{reservation.call_id}.{reservation.attempt}"


def _held_key(call_id: str) -> str:
    return f"{TAG}:budget:held:{call_id}"


def _day_key(day: str, account: str) -> str:
    return f"{TAG}:budget:day:{hashed(account)}:{day}"


def _clients_key(day: str, account: str) -> str:
    return f"{TAG}:budget:clients:{hashed(account)}:{day}"


def _days_from(since: str) -> Iterator[str]:
    day, today = date.fromisoformat(since), datetime.now(UTC).date()
    while day <= today:
        yield day.isoformat()
        day += timedelta(days=1)


def _books(fields: Sequence[bytes]) -> dict[ModelKey, tuple[UsageTotals, UsageTotals]]:
    """Return the settled and the reserved usage of each model, from the fields and values of a day."""
    settled: dict[ModelKey, dict[str, int]] = {}
    for field, value in zip(fields[::2], fields[1::2], strict=True):
        column, workspace, model = field.decode().split("|", 2)
        settled.setdefault((workspace, model), {})[column] = int(value)
    return {
        key: (
            UsageTotals(**{column: values.get(column, 0) for column in COLUMNS}),
            UsageTotals(
                calls=values.get("reserved_calls", 0),
                held_tokens=values.get("reserved_tokens", 0),
                held_nano_usd=values.get("reserved_nano_usd", 0),
            ),
        )
        for key, values in settled.items()
    }


def _used(fields: Sequence[bytes]) -> Used:
    return {key: totals + reserved for key, (totals, reserved) in _books(fields).items()}
