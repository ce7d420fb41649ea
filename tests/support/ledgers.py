"""Reserve and settle calls in a ledger, each in a transaction of its own."""

from blaxel_mcp.budget.figures import CapCheck, Entry, Reservation, UsageTotals
from blaxel_mcp.budget.ledger import Ledger


def reserve(ledger: Ledger, reservation: Reservation, check: CapCheck = lambda _used: None) -> None:
    """Reserve a call if `check` accepts the usage of the day so far."""
    (outcome,) = ledger.write([Entry(reservation, check)])
    if isinstance(outcome, Exception):
        raise outcome


def settle(ledger: Ledger, reservation: Reservation, usage: UsageTotals | None) -> None:
    """Replace a reservation by the usage of its call; None if it was never sent."""
    ledger.write([Entry(reservation, usage=usage)])
