"""Reserves calls in the budget before they are sent, and settles them afterwards in the shared ledger."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.budget.caps import Budget, day_of, usage_report
from blaxel_mcp.budget.estimates import answered_totals, failed_totals
from blaxel_mcp.budget.figures import Entry, ModelKey, Reservation, UsageTotals, Used
from blaxel_mcp.budget.ledger import KEPT_DAYS, LedgerError
from blaxel_mcp.budget.open_ledgers import SETTLE_SECONDS, GroupCommit, LedgerInUse
from blaxel_mcp.budget.shared.engine import hashed
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import build_receipt
from blaxel_mcp.settings.schema import Settings

_utc_now = partial(datetime.now, UTC)


@dataclass(slots=True, eq=False)
class ReservedCall:
    """A call that is reserved in the budget.

    Attributes:
        commits: Writes to the ledger that holds the reservation.
        used: The usage of the day when it was reserved.
        reservation: The last reservation that was made; None before the first.
        earlier_attempts: The number of attempts before the reservation's own.
    """

    context: CallContext
    commits: GroupCommit
    used: Used = field(default_factory=dict)
    reservation: Reservation | None = None
    earlier_attempts: int = 0


class Spending:
    """Keeps calls within their budget, and counts them.

    Args:
        settings: The caps, the prices and the ledger's path.
        account: The account of the calls; caps count each separately. Empty for the user's own.
        caller: One of several callers who share the account, and whose report is of its own calls; empty for none.

    Attributes:
        asks: Whether there are calls that need a person's consent.
    """

    def __init__(
        self, settings: Settings, *, account: str = "", caller: str = "", now: Callable[[], datetime] = _utc_now
    ) -> None:
        self.budget = budget = Budget(caps=settings.budget, models=settings.models, workspace=settings.workspace)
        self.asks = any(budget.ask_over_usd(model) is not None for model in (None, *settings.models))
        self.settings = settings.budget
        self._account = account
        self._caller = caller and f"caller:{hashed(caller)}"
        self._now = now
        self.ledger = LedgerInUse(settings)
        self._is_usable = False
        self._reserved: dict[str, ReservedCall] = {}

    @asynccontextmanager
    async def reserve(self, context: CallContext) -> AsyncIterator[ReservedCall]:
        """Reserve a prepared call, and settle it when the context manager ends, however it ends.

        Raises:
            BlaxelError: `budget_exceeded`.
        """
        reserved = self._reserved.pop(context.call_id, None)
        call = reserved or ReservedCall(context, self.ledger.opened or self.ledger.open())
        totals: UsageTotals | None = None
        outcome = "cancelled"
        try:
            if reserved:
                context.budget, call.context = call.context.budget, context
            else:
                await self._hold(call)
            yield call
            outcome = "ok"
            totals = answered_totals(context.expected, context.usage, context.cost_usd)
        except BaseException as error:
            # A cancelled call may have been billed too.
            billed = error.billed != "no" if isinstance(error, BlaxelError) else True
            if isinstance(error, BlaxelError):
                outcome = error.code
            elif anyio.current_effective_deadline() <= anyio.current_time():
                outcome = "timeout"
            if context.trace.sent and context.trace.attempts > call.earlier_attempts:
                totals = _failed_totals(context, maybe_billed=billed)
            raise
        finally:
            await self._settle(call, totals, outcome)

    @asynccontextmanager
    async def reserve_together(self, contexts: Sequence[CallContext]) -> AsyncIterator[None]:
        """Reserve several prepared calls, or none of them. While this lasts, `reserve` finds each by its call id.

        Raises:
            BlaxelError: `budget_exceeded`: the budget has no room for all of them.
        """
        try:
            for context in contexts:
                call = self._reserved[context.call_id] = ReservedCall(context, self.ledger.open())
                await self._hold(call)
            yield
        finally:
            for context in contexts:
                # `reserve` took the others, and settles them.
                if unused := self._reserved.pop(context.call_id, None):
                    await self._settle(unused, None)

    async def count_attempt(self, call: ReservedCall) -> None:
        """Count an attempt that failed and may have been billed, and reserve the next one.

        Raises:
            BlaxelError: `budget_exceeded`: the budget has no room for the next one.
        """
        with anyio.CancelScope(shield=True):
            await self._settle(call, _failed_totals(call.context, maybe_billed=True))
            call.earlier_attempts = call.context.trace.attempts
            await self._hold(call)

    async def preview(self, context: CallContext) -> str | None:
        """Return why a prepared call would be refused, None if it fits, and set its budget; nothing is reserved."""
        now, model, call = self._now(), context.settings, ReservedCall(context, self.ledger.open())
        try:
            used = await anyio.to_thread.run_sync(call.commits.ledger.used, day_of(now), self._account)
        except LedgerError as error:
            context.notes.append(str(error))
            if self.budget.requires_ledger(model):
                return f"A budget applies, and the ledger that counts it cannot be used. {error}"
            used = {}
        name = context.prepared.model if context.prepared else context.model
        try:
            self._check(call, (context.workspace or "", name or ""), now, used)
        except BlaxelError as refusal:
            return str(refusal)
        return None

    async def report(self, days: int) -> dict[str, Any]:
        """Return the usage of the last `days` days, including today, and the remaining budget."""
        now = self._now()
        since = day_of(now - timedelta(days=days - 1))
        try:
            ledger = self.ledger.open().ledger
            model_days = await anyio.to_thread.run_sync(ledger.days, since, self._account)
            clients = await anyio.to_thread.run_sync(ledger.clients, since, self._caller or self._account)
            used = await anyio.to_thread.run_sync(ledger.used, day_of(now), self._account)
        except LedgerError as error:
            self.ledger.warn(str(error))
            model_days, clients, used = [], {}, {}
        return usage_report(
            model_days,
            clients,
            self.budget.overall(used),
            now=now,
            ledger=str(self.ledger.open().ledger.path),
            problem=self.ledger.problem,
        )

    async def recent_calls(self, *, last: int | None = None, call_id: str | None = None) -> list[JSONObject]:
        """Return the records of the last so many calls, or of all, the latest first; or that of one call.

        Each has time, tool, client, outcome and receipt.

        Raises:
            BlaxelError: `configuration_error`: the ledger cannot be used.
        """
        read = partial(self.ledger.open().ledger.calls, self._account, last=last, call_id=call_id)
        try:
            return [json_text.parse(record) for record in await anyio.to_thread.run_sync(read)]
        except LedgerError as error:
            raise ConfigurationError(str(error), hint="The setting is `budget.ledger`.") from None

    def totals_today(self) -> UsageTotals | None:
        """Return the usage that counts against the owner's caps today. It blocks.

        None if the owner does not pay for these calls, or no ledger is open or readable; the next call reports it.
        """
        if self._account or not self.ledger.opened:
            return None
        with suppress(LedgerError):
            return sum(self.ledger.opened.ledger.used(day_of(self._now()), "").values(), UsageTotals())
        return None

    async def aclose(self) -> None:
        """Release the ledger."""
        await self.ledger.aclose()

    def _check(self, call: ReservedCall, key: ModelKey, now: datetime, used: Used) -> None:
        """Check the caps, in the ledger's transaction: no other process can reserve in between."""
        call.used, context, model = used, call.context, call.context.settings
        context.budget = self.budget.report(key, model, used, now)
        self.budget.check(key, model, context.expected, used, now)

    async def _hold(self, call: ReservedCall) -> None:
        now, context = self._now(), call.context
        model, expected = context.settings, context.expected
        name = context.prepared.model if context.prepared else context.model
        reservation = Reservation(
            call_id=context.call_id,
            attempt=call.earlier_attempts,
            day=day_of(now),
            account=self._account,
            key=(context.workspace or "", name or ""),
            tokens=expected.tokens,
            nano_usd=expected.nano_usd,
            caps=tuple(self.budget.figures(model, expected)) if call.commits.ledger.is_remote else (),
        )

        entry = Entry(reservation, partial(self._check, call, reservation.key, now))
        commits, is_first = call.commits, not self._is_usable
        try:
            if self._is_usable and not self.budget.caps_on(model) and not commits.ledger.failure:
                # No cap can refuse it, and the first call has shown that the ledger can be used.
                commits.defer(entry)
            else:
                await commits.write(entry)
            self._is_usable = True
        except LedgerError as error:
            await self._hold_without_ledger(error, call, entry)
        call.reservation = reservation
        context.notes += [
            note for note in (self.ledger.problem, call.commits.ledger.notice) if note and note not in context.notes
        ]
        if is_first and self._is_usable:
            with suppress(LedgerError):
                await anyio.to_thread.run_sync(commits.ledger.forget, day_of(now - timedelta(days=KEPT_DAYS)))

    async def _hold_without_ledger(self, error: LedgerError, call: ReservedCall, entry: Entry) -> None:
        """Reserve a call later, or in memory, if no cap applies or the settings allow it."""
        context, commits, reservation = call.context, call.commits, entry.reservation
        if self.budget.requires_ledger(context.settings):
            self.ledger.warn(str(error))
            commits.ledger.withdraw(reservation)
            raise BlaxelError(
                f"The call of {context.model!r} was not sent: a budget applies, and the ledger that counts it "
                f"cannot be used. {error}",
                code="budget_exceeded",
                hint=f'{commits.ledger.repair} budget.on_ledger_failure = "allow" allows calls without it.',
                retryable=commits.ledger.is_remote,
            )
        if commits.ledger.is_remote:
            # It is written when the engine is back.
            commits.defer(Entry(replace(reservation, caps=()), entry.check))
            context.notes.append(f"{error} This call is counted in it later.")
            return
        unwritten, call.commits = commits.ledger.take_deferred(), self.ledger.fall_back(str(error))
        for other in unwritten:
            call.commits.defer(other)
        await call.commits.write(entry)

    async def _settle(self, call: ReservedCall, totals: UsageTotals | None, outcome: str | None = None) -> None:
        """Settle a call; an outcome says that it has ended and how: `ok` or the code of an error."""
        reservation, context = call.reservation, call.context
        if reservation is None:
            return
        record = None
        if outcome is not None:
            time = self._now().isoformat(timespec="seconds")
            about = {"time": time, "tool": context.tool, "client": context.client or None, "outcome": outcome}
            record = json_text.dump({**about, "receipt": build_receipt(context)})
        entry = Entry(reservation, usage=totals, client=context.client, caller=self._caller, record=record)
        if not self.budget.caps_on(context.settings):
            call.commits.defer(entry)
            return
        if call.commits.ledger.is_remote:
            try:
                used = await call.commits.write(entry)
            except LedgerError as error:
                then = "is settled when it is back; until then, its estimate counts"
                self.ledger.warn(f"{error} A call {then}.")
                context.notes.append(f"{error} This call {then}.")
                return
        else:
            call.commits.defer(entry, SETTLE_SECONDS)
            own = call.used.get(reservation.key, UsageTotals()) + (totals or UsageTotals())
            used = call.used | {reservation.key: own}
        context.budget = self.budget.report(reservation.key, context.settings, used, self._now())


def _failed_totals(context: CallContext, *, maybe_billed: bool) -> UsageTotals:
    received = context.stream.usage_so_far() if context.stream and maybe_billed else None
    return failed_totals(context.expected.at_least(received), maybe_billed=maybe_billed)
