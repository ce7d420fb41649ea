"""What calls take, reserved before they are sent and settled after, in the ledger of all processes."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.budget.caps import Budget, Estimate, day_of, usd_to_nano
from blaxel_mcp.budget.figures import Reservation, UsageTotals
from blaxel_mcp.budget.ledger import KEPT_DAYS, MEMORY, Ledger, LedgerError, Used, default_ledger
from blaxel_mcp.budget.report import usage_report
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.settings.schema import ModelSettings, Price, Settings

logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Open:
    """A reservation, and the ledger that it stands in."""

    ledger: Ledger
    reservation: Reservation


class Spending:
    """Holds calls to their budget, and counts them.

    Args:
        settings: The caps, the prices, and where the ledger is.
        account: Whose calls these are; caps count one account's alone. Empty for the user's own.
        now: The clock.
    """

    def __init__(self, settings: Settings, *, account: str = "", now: Callable[[], datetime] = _now) -> None:
        self._budget = Budget(caps=settings.budget, models=settings.models, workspace=settings.workspace)
        self._account = account
        self._now = now
        self._ledger = Ledger(_ledger_path(settings))
        self._problem: str | None = None
        self._tidied = False

    @asynccontextmanager
    async def of(self, receipt: Receipt, model: ModelSettings | None, expected: Estimate) -> AsyncIterator[None]:
        """Reserve a call, and settle it by its receipt when the context ends, however it does.

        Args:
            receipt: The call's; `model` and `workspace` are known by now.
            model: The settings of the model, if it is configured.
            expected: What the call is expected to take.

        Raises:
            BlaxelError: `budget_exceeded`.
        """
        opened = await self._reserve(receipt, model, expected)
        price = model.price if model else None
        taken: UsageTotals | None = None
        try:
            yield
            taken = _answered(receipt, expected, price)
        except BlaxelError as error:
            taken = _failed(expected, price, maybe_billed=error.billed != "no") if receipt.trace.sent else None
            raise
        except BaseException:
            # Stopped half-way: the provider may have worked on it.
            taken = _failed(expected, price, maybe_billed=True) if receipt.trace.sent else None
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._settle(opened, taken, receipt, model)

    async def report(self, days: int) -> dict[str, Any]:
        """What calls have taken in so many days, today included, and what is left of the budget."""
        now = self._now()
        since = day_of(now - timedelta(days=days - 1))
        try:
            found = await anyio.to_thread.run_sync(self._ledger.days, since, self._account)
            used = await anyio.to_thread.run_sync(self._ledger.used, day_of(now), self._account)
        except LedgerError as error:
            self._tell(str(error))
            found, used = [], Used({})
        return usage_report(
            found, self._budget.overall(used), now=now, ledger=str(self._ledger.path), problem=self._problem
        )

    async def aclose(self) -> None:
        """Let go of the ledger."""
        await anyio.to_thread.run_sync(self._ledger.close)

    async def _reserve(self, receipt: Receipt, model: ModelSettings | None, expected: Estimate) -> _Open:
        now = self._now()
        reservation = Reservation(
            call_id=receipt.call_id,
            day=day_of(now),
            account=self._account,
            key=(receipt.workspace or "", receipt.model or ""),
            tokens=expected.tokens,
            nano_usd=expected.nano_usd(model.price if model else None),
        )

        def check(used: Used) -> None:
            receipt.budget = self._budget.report(reservation.key, model, used, now)
            self._budget.check(reservation.key, model, expected, used, now)

        ledger = self._ledger
        try:
            await anyio.to_thread.run_sync(ledger.reserve, reservation, check)
            await self._tidy(now)
        except LedgerError as error:
            self._go_on_without(str(error), receipt, model)
            ledger = self._ledger
            await anyio.to_thread.run_sync(ledger.reserve, reservation, check)
        if self._problem:
            receipt.notes.append(self._problem)
        return _Open(ledger, reservation)

    async def _settle(
        self, opened: _Open, taken: UsageTotals | None, receipt: Receipt, model: ModelSettings | None
    ) -> None:
        try:
            used = await anyio.to_thread.run_sync(opened.ledger.settle, opened.reservation, taken)
        except LedgerError as error:
            self._tell(f"{error} A call was not settled in it.")
            receipt.notes.append(f"{error} This call was not settled in it.")
        else:
            receipt.budget = self._budget.report(opened.reservation.key, model, used, self._now())

    async def _tidy(self, now: datetime) -> None:
        if not self._tidied:
            self._tidied = True
            await anyio.to_thread.run_sync(self._ledger.forget, day_of(now - timedelta(days=KEPT_DAYS)))

    def _go_on_without(self, problem: str, receipt: Receipt, model: ModelSettings | None) -> None:
        """Count in memory from now on, unless the settings would rather have the calls refused.

        Raises:
            BlaxelError: `budget_exceeded`: they would.
        """
        if self._budget.capped(model) and self._budget.on_ledger_failure(model) == "refuse":
            self._tell(problem)
            raise BlaxelError(
                f"The call of {receipt.model!r} was not sent: there is a budget, and what is left of it is not known. "
                f"{problem}",
                code="budget_exceeded",
                origin="local",
                hint="Mend that file, or move it away and restart the server, which begins a new one. "
                'budget.on_ledger_failure = "allow" lets calls through meanwhile.',
            )
        self._ledger = Ledger(MEMORY)
        self._tell(f"{problem} Calls are counted by this process alone from now on.")

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            logger.warning(problem)


def _ledger_path(settings: Settings) -> Path | str:
    named = settings.budget.ledger
    if named is None:
        return default_ledger()
    return MEMORY if named == MEMORY else Path(named).expanduser()


def _answered(receipt: Receipt, expected: Estimate, price: Price | None) -> UsageTotals:
    usage = receipt.usage
    if usage is None:
        return UsageTotals(
            calls=1,
            without_tokens=1,
            without_price=1,
            held_tokens=expected.tokens,
            held_nano_usd=expected.nano_usd(price),
        )
    taken, given = usage.input_tokens or 0, usage.output_tokens or 0
    known = price is not None and usage.input_tokens is not None
    return UsageTotals(
        calls=1,
        without_price=not known,
        input_tokens=taken,
        output_tokens=given,
        total_tokens=usage.total_tokens or 0,
        nano_usd=usd_to_nano(price, taken, given) if price and known else 0,
        held_nano_usd=expected.nano_usd(price) if price and not known else 0,
    )


def _failed(expected: Estimate, price: Price | None, *, maybe_billed: bool) -> UsageTotals:
    if not maybe_billed:
        return UsageTotals(calls=1, failed=1)
    return UsageTotals(
        calls=1,
        failed=1,
        failed_maybe_billed=1,
        held_tokens=expected.tokens,
        held_nano_usd=expected.nano_usd(price),
    )
