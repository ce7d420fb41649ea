"""The context of one call, from its arguments to its result."""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blaxel_mcp.budget.estimates import Estimate
from blaxel_mcp.budget.prices import ModelPrice
from blaxel_mcp.budget.usage import Usage
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.consent import Asker
from blaxel_mcp.inference.prepare import PreparedRequest
from blaxel_mcp.inference.progress import Progress
from blaxel_mcp.settings.models import ModelSettings

if TYPE_CHECKING:
    # OpenTelemetry is imported only where it is used.
    from blaxel_mcp.inference.telemetry import AttemptSpans

_NO_ESTIMATE = Estimate()


@dataclass(slots=True, kw_only=True, eq=False)
class CallContext:
    """The state of one call. It is filled in as the call goes on, so failed and cancelled calls have it too.

    Values that are not known yet are None; `started` is a time of `time.perf_counter`.

    Attributes:
        call_id: Unguessable; also the handle of a call that outlives its request.
        tool: The tool that was called, or the command of the command line.
        client: The name of the program that made the call; empty if it is not known.
        model: The model API's name, once it is known to be a valid name.
        settings: The `[[models]]` entry of the model that the call counts for, if it is configured.
        expected: The estimated usage, with the price where it is known.
        stream: The streamed answer of the last attempt.
        attempts: The spans of its attempts, if it is traced or measured.
        retries: How many attempts were made after the first one failed.
        earlier_attempt_billed: Whether an attempt before the last one may have been billed.
        price: The price of the model, once it is looked up; None if it is not known.
        asker: Asks a person before an expensive call; None for the calls of a command, which a person has typed.
        before_sending: Called when nothing else keeps the request from being sent; it may raise a BlaxelError.
        agreed_by: Who agreed to an expensive call: `person`, `session` or `settings`; None if nobody was asked.
        budget: How much of each cap that applies to the call is used.
        repairs: One sentence per change made to the caller's arguments.
        notes: One sentence per other thing that the reader of the result should know.
        model_names: The names to suggest when the model does not exist.
    """

    call_id: str = field(default_factory=lambda: f"call_{secrets.token_urlsafe(16)}")
    tool: str | None = None
    client: str = ""
    model: str | None = None
    workspace: str | None = None
    record: ModelRecord | None = None
    prepared: PreparedRequest | None = None
    settings: ModelSettings | None = None
    expected: Estimate = _NO_ESTIMATE
    stream: AnswerStream | None = None
    attempts: "AttemptSpans | None" = None
    trace: CallTrace = field(default_factory=CallTrace)
    progress: Progress = field(default_factory=Progress)
    retries: int = 0
    earlier_attempt_billed: bool = False
    price: ModelPrice | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    budget: JSONObject | None = None
    asker: Asker | None = None
    before_sending: Callable[[], Awaitable[None]] | None = None
    agreed_by: str | None = None
    repairs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    model_names: Iterable[str] = ()
    started: float = field(default_factory=time.perf_counter)
