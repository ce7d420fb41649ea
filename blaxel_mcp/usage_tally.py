"""What the calls of this server have taken so far: calls, tokens and USD, per model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blaxel_mcp.exceptions import BlaxelError
from blaxel_mcp.receipt import Receipt

_MOST_MODELS = 500
"""How many models are told apart; an agent may call any number of names that it made up."""

_Key = tuple[str | None, str | None]
_OTHERS: _Key = (None, None)


@dataclass(slots=True)
class ModelUsage:
    """What the calls of one model have taken.

    Attributes:
        calls: Those that reached the endpoint, or may have.
        failed: Those of them that brought no whole answer.
        failed_maybe_billed: Those that failed and may have been billed all the same; their tokens are unknown.
        without_tokens: Answers that did not say what they took.
        without_price: Answers of which the cost is not known.
        cost_usd: The cost of all others; None while there is no other.
    """

    calls: int = 0
    failed: int = 0
    failed_maybe_billed: int = 0
    without_tokens: int = 0
    without_price: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost_usd: float | None = None

    def add_answer(self, receipt: Receipt) -> None:
        """Count a call that was answered."""
        usage = receipt.usage
        self.calls += 1
        self.without_tokens += usage is None
        self.without_price += receipt.cost_usd is None
        if usage:
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
            self.total_tokens += usage.total_tokens or 0
        if receipt.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0) + receipt.cost_usd

    def add_failure(self, *, maybe_billed: bool) -> None:
        """Count a call that failed or was stopped."""
        self.calls += 1
        self.failed += 1
        self.failed_maybe_billed += maybe_billed

    def figures(self) -> dict[str, Any]:
        """The figures by name, the cost to a millionth of a dollar."""
        return {
            "calls": self.calls,
            "failed": self.failed,
            "failed_maybe_billed": self.failed_maybe_billed,
            "without_tokens": self.without_tokens,
            "without_price": self.without_price,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 6),
        }


class UsageTally:
    """Adds up the receipts of calls.

    Args:
        now: The clock that says since when.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._since = now()
        self._models: dict[_Key, ModelUsage] = {}

    @contextmanager
    def counting(self, receipt: Receipt) -> Iterator[None]:
        """Count the call that goes on in the context, once it ends. One that never left this machine is none."""
        try:
            yield
        except BlaxelError as error:
            if receipt.trace.sent:
                self._of(receipt).add_failure(maybe_billed=error.billed != "no")
            raise
        except BaseException:
            # Stopped half-way: the provider may have worked on it.
            if receipt.trace.sent:
                self._of(receipt).add_failure(maybe_billed=True)
            raise
        self._of(receipt).add_answer(receipt)

    def report(self) -> dict[str, Any]:
        """The figures of each model, the busiest first, and since when they count."""
        busiest = sorted(self._models.items(), key=lambda item: -item[1].calls)
        return {
            "since": self._since.isoformat(timespec="seconds"),
            "models": [
                {"model": model, "workspace": workspace, **usage.figures()} for (workspace, model), usage in busiest
            ],
        }

    def _of(self, receipt: Receipt) -> ModelUsage:
        key: _Key = (receipt.workspace, receipt.model)
        if key not in self._models and len(self._models) >= _MOST_MODELS:
            key = _OTHERS
        return self._models.setdefault(key, ModelUsage())
