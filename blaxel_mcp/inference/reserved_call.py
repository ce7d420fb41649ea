"""A call that is reserved in the budget, and what it counts when it ends."""

from dataclasses import dataclass, field

from blaxel_mcp.budget.estimates import usd_to_nano
from blaxel_mcp.budget.figures import Reservation, UsageTotals, Used
from blaxel_mcp.budget.open_ledgers import GroupCommit
from blaxel_mcp.inference.context import CallContext


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


def answered_totals(context: CallContext) -> UsageTotals:
    """Return the totals of an answered call; what it does not report counts by the estimate."""
    usage, cost_usd, expected = context.usage, context.cost_usd, context.expected
    reported = None if usage is None or usage.estimated else usage
    tokens = reported and reported.total_tokens
    known = cost_usd is not None and not (usage and usage.estimated)
    if tokens is None or not known:
        expected = expected.at_least(usage)
    return UsageTotals(
        calls=1,
        without_tokens=tokens is None,
        without_price=not known,
        input_tokens=(reported and reported.input_tokens) or 0,
        output_tokens=(reported and reported.output_tokens) or 0,
        total_tokens=tokens or 0,
        nano_usd=usd_to_nano(cost_usd or 0) if known else 0,
        held_tokens=expected.tokens if tokens is None else 0,
        held_nano_usd=0 if known else expected.nano_usd,
    )


def failed_totals(context: CallContext, *, maybe_billed: bool) -> UsageTotals:
    """Return the totals of a failed call: its estimate if it may have been billed, or more if more was received."""
    if not maybe_billed:
        return UsageTotals(calls=1, failed=1)
    stream = context.stream
    expected = context.expected.at_least(stream.usage_so_far() if stream else None)
    return UsageTotals(
        calls=1, failed=1, failed_maybe_billed=1, held_tokens=expected.tokens, held_nano_usd=expected.nano_usd
    )
