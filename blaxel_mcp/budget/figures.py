"""The values in a ledger: usage, reservations, and records of calls."""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Literal

NANO = 1_000_000_000
"""Billionths of a dollar in a dollar. Costs are counted in whole billionths, which add up without rounding."""

ModelKey = tuple[str, str]
"""A workspace and the name of a model in it."""


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """The usage of one or more calls.

    Tokens are those that providers reported. For a call whose usage is not known, its estimate is held instead; both
    count against a cap.

    Attributes:
        calls: Calls that reached the endpoint or may have.
        failed: Calls without a complete answer.
        failed_maybe_billed: Failed calls that may have been billed.
        without_tokens: Answers without token usage.
        without_price: Answers whose cost is not known.
        held_tokens: Estimated tokens of calls whose usage is not known.
        held_nano_usd: Estimated cost of calls whose cost is not known.
    """

    calls: int = 0
    failed: int = 0
    failed_maybe_billed: int = 0
    without_tokens: int = 0
    without_price: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    nano_usd: int = 0
    held_tokens: int = 0
    held_nano_usd: int = 0

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        """Return the sum of both."""
        return UsageTotals(*map(operator.add, values_of(self), values_of(other)))


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap as figures, which a ledger can compare where it counts.

    Attributes:
        limit: The maximum usage of a day, including the reserved call.
        of_model: Whether it counts only the calls of the reserved model.
    """

    figure: Literal["calls", "tokens", "nano_usd"]
    limit: float
    of_model: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The estimate of a call that is about to be sent.

    Attributes:
        day: The day that it counts for, in UTC: `2026-11-24`.
        account: The caller whose caps it counts against; empty for the user's own calls.
        caps: The caps that apply to it, for a ledger that compares them itself.
        attempt: The number of earlier attempts of the call, each with its own reservation.
    """

    call_id: str
    day: str
    account: str
    key: ModelKey
    tokens: int
    nano_usd: int
    caps: tuple[Cap, ...] = ()
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDay:
    """The usage of one model on one day in UTC: `2026-11-24`.

    Attributes:
        totals: The usage of its settled calls.
        unsettled: The number of calls that are in flight, or whose process died before it settled them.
    """

    day: str
    key: ModelKey
    totals: UsageTotals
    unsettled: int


Used = dict[ModelKey, UsageTotals]
"""The usage of each model on one day; calls in flight are included with their estimates."""

CapCheck = Callable[[Used], None]
"""Gets the usage of the day, and raises an exception to refuse a call."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of the ledger for one call: its reservation or its settlement.

    Attributes:
        check: Decides whether the call is reserved; None settles the call.
        usage: The usage of a settled call; None if it was never sent.
        client: The program that made the call; empty if it is not known.
        caller: One of several callers of an account, whose usage is also counted by itself; empty for none.
        record: Time, tool, outcome and receipt as a JSON object; None if the call goes on with another attempt.
    """

    reservation: Reservation
    check: CapCheck | None = None
    usage: UsageTotals | None = None
    client: str = ""
    caller: str = ""
    record: str | None = None


def busiest_first(days: Iterable[ModelDay]) -> list[ModelDay]:
    """Return days in reports' order: the latest day first, and within it the busiest model."""
    by_calls = sorted(days, key=lambda entry: (-entry.totals.calls - entry.unsettled, entry.key))
    return sorted(by_calls, key=lambda entry: entry.day, reverse=True)


COLUMNS = tuple(field.name for field in fields(UsageTotals))

values_of = operator.attrgetter(*COLUMNS)
"""Return the fields of a `UsageTotals` in the order of `COLUMNS`; `astuple` copies deeply and takes 50 times longer."""
