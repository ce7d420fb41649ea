"""The receipt that goes with every result: what was called, what came of it, what it took."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.budget.caps import Estimate
from blaxel_mcp.budget.usage import Usage, cost_usd, read_usage
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.request import CallTrace
from blaxel_mcp.settings.schema import Price

RECEIPT_KEY = "blaxel-mcp/call"


@dataclass(slots=True)
class Progress:
    """What has come of an answer so far, while it is streamed.

    Attributes:
        wanted: Whether the client asked to be told of progress.
        text: The text so far.
        waits: Why nothing comes at the moment, in a sentence; empty for no reason of ours.
        stirred: Is set, and replaced, when there is something to tell before the next sign of life is due.
        listener: Is called with the text so far, each time that it has grown.
    """

    wanted: bool = False
    text: str = ""
    waits: str = ""
    stirred: anyio.Event = field(default_factory=anyio.Event)
    listener: Callable[[str], None] | None = None

    def tell(self, text: str) -> None:
        """Take the text as far as it has come."""
        self.text = text
        if self.listener:
            self.listener(text)

    def announce(self, waits: str) -> None:
        """Take why the call waits; empty when it no longer does."""
        if waits != self.waits:
            self.waits = waits
            if waits:
                self.stir()

    def stir(self) -> None:
        """Wake whoever waits for news."""
        stirred, self.stirred = self.stirred, anyio.Event()
        stirred.set()


@dataclass(slots=True, kw_only=True)
class Receipt:
    """Filled in while a call goes on, so that a failed or cancelled one has its receipt too.

    Attributes:
        repairs: A sentence for each change that was made to what the caller gave.
        notes: A sentence for each thing about the call that the reader should know besides.
        truncated: Whether the result holds less than the answer.
        live: What has come so far.
        api: Which API the call speaks, once that is known.
        record: What the control plane says of the model, once that is known.
        expected: What it is expected to take.
        budget: What is used of the caps that hold for it; None where none does.
    """

    model: str | None = None
    workspace: str | None = None
    method: str | None = None
    url: str | None = None
    trace: CallTrace = field(default_factory=CallTrace)
    usage: Usage | None = None
    cost_usd: float | None = None
    repairs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    truncated: bool = False
    live: Progress = field(default_factory=Progress)
    api: ModelAPI | None = None
    record: ModelRecord | None = None
    expected: Estimate = field(default_factory=Estimate)
    budget: Any = None
    call_id: str = field(default_factory=lambda: f"call_{secrets.token_urlsafe(16)}")
    started: float = field(default_factory=time.perf_counter)

    def charge(self, answer: Any, price: Price | None) -> None:
        """Note the tokens that the answer reports, and what they cost at the configured price."""
        self.usage = read_usage(answer)
        if price:
            self.cost_usd = cost_usd(self.usage, input_price=price.input, output_price=price.output)

    def meta(self) -> dict[str, Any]:
        """The receipt as the value of `_meta["blaxel-mcp/call"]`; what is not known is null."""
        first_byte = self.trace.first_byte_seconds
        usage = self.usage
        return {
            "call_id": self.call_id,
            "model": self.model,
            "workspace": self.workspace,
            "method": self.method,
            "url": self.url,
            "status": self.trace.status,
            "request_id": self.trace.request_id,
            "attempts": self.trace.attempts,
            "elapsed_ms": _milliseconds(time.perf_counter() - self.started),
            "first_byte_ms": None if first_byte is None else _milliseconds(first_byte),
            "usage": usage
            and {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
            },
            "cost_usd": self.cost_usd,
            "budget": self.budget,
            "repairs": list(self.repairs),
            "notes": list(self.notes),
            "truncated": self.truncated,
        }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
