"""What the ledger counts, as values: what calls have taken, what one is about to take, how money is written down."""

import operator
from dataclasses import dataclass, fields

NANO = 1_000_000_000
"""Money is counted in whole billionths of a dollar, which add up without rounding."""

ModelKey = tuple[str, str]
"""A workspace and the name of a model in it."""


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """What calls have taken.

    Attributes:
        calls: Those that reached the endpoint, or may have.
        failed: Those of them that brought no whole answer.
        failed_maybe_billed: Those that failed and may have been billed all the same.
        without_tokens: Answers that did not say what they took.
        without_price: Answers of which the cost is not known.
        input_tokens: As the providers told, like the two below.
        output_tokens: The same.
        total_tokens: The same.
        nano_usd: What they cost, in billionths of a dollar.
        held_tokens: Estimated, of calls that did not tell; they count against a cap.
        held_nano_usd: The same.
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
        """Both together."""
        return UsageTotals(*map(operator.add, values_of(self), values_of(other)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One call that is about to be sent, and what it is expected to take."""

    call_id: str
    day: str
    account: str
    key: ModelKey
    tokens: int
    nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDay:
    """What the calls of one model have taken in one day; `unsettled` of them have not ended, or ended unheard."""

    day: str
    key: ModelKey
    figures: UsageTotals
    unsettled: int


COLUMNS = tuple(field.name for field in fields(UsageTotals))

# `astuple` copies each figure deeply, which takes fifty times as long.
values_of = operator.attrgetter(*COLUMNS)
"""The figures in the order of `COLUMNS`."""
