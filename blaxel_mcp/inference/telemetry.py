"""Spans and metrics of model calls, by OpenTelemetry's conventions for generative AI.

Each attempt is a client span below the span of the MCP request. Attributes are names, numbers and codes. Text from the
caller or from upstream becomes an attribute only if it has the form of a name. Prompts and answers are in spans only
if the operator asks for them.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from weakref import WeakSet

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference import instruments
from blaxel_mcp.inference.attributes import (
    OTHER,
    content_attributes,
    error_type,
    metric_attributes,
    outcome_attributes,
    request_attributes,
)
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.instruments import Instrument, Measurement, Record
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.observers import Outcome
from blaxel_mcp.inference.prepare import PreparedRequest
from blaxel_mcp.inference.spending import Spending

logger = logging.getLogger(__name__)


_READ_SECONDS = 1.0
"""How long read gauges are reused: an exporter asks for each of them in turn."""

_traceparent = TraceContextTextMapPropagator()


class Telemetry:
    """The destination of a server's spans and metrics; `has_content` adds prompts and answers to spans."""

    def __init__(
        self, tracer: Tracer | None = None, *, has_content: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.tracer = tracer
        self.has_content = has_content
        self._now = now
        self.recorders: list[Record] = []
        # Exporters read in threads of their own.
        self._watching = threading.Lock()
        self._limits: WeakSet[CallLimits] = WeakSet()
        self._spending: WeakSet[Spending] = WeakSet()
        self._gauges: Sequence[Measurement] = ()
        self._read_at = -math.inf

    def watch(self, limits: CallLimits, spending: Spending) -> None:
        """Read the gauges from these too, for as long as they are in use."""
        with self._watching:
            self._limits.add(limits)
            self._spending.add(spending)

    def record(self, instrument: Instrument, value: float, attributes: Mapping[str, str | int | bool]) -> None:
        """Record a value of a histogram or counter. A recorder that fails is logged, and affects no call."""
        for record in self.recorders:
            try:
                record(Measurement(instrument, value, attributes))
            except Exception:
                logger.exception("a value of %s was not recorded", instrument.name)

    def read_gauges(self) -> Sequence[Measurement]:
        """Return the values of the gauges, at most a second old. It may block on the ledger."""
        now = self._now()
        if now - self._read_at > _READ_SECONDS:
            self._gauges, self._read_at = [*self._read_calls(), *self._read_budget()], now
        return self._gauges

    def hold_gauges(self) -> None:
        """Read the gauges for the last time: exporters ask for them after the ledger is closed."""
        self._read_at = -math.inf
        self.read_gauges()
        self._read_at = math.inf

    def _read_calls(self) -> Iterator[Measurement]:
        # The callers of a server share their limits, and each has an object of its own for them.
        with self._watching:
            shared = {limits.all_slots: limits for limits in self._limits}
        yield Measurement(instruments.CALLS_RUNNING, sum(slots.taken for slots in shared), {})
        yield Measurement(instruments.CALLS_QUEUED, sum(limits.queued for limits in shared.values()), {})

    def _read_budget(self) -> Iterator[Measurement]:
        # The owner's count in one ledger, and one may have fallen back to memory.
        with self._watching:
            spending = list(self._spending)
        totals = next((totals for each in spending if (totals := each.totals_today()) is not None), None)
        if totals is None:
            return
        for unit, used, reserved in (
            ("calls", totals.calls, 0),
            ("tokens", totals.total_tokens, totals.held_tokens),
            ("usd", totals.nano_usd / 1e9, totals.held_nano_usd / 1e9),
        ):
            yield Measurement(instruments.BUDGET_USED, used, {"blaxel.budget.unit": unit})
            yield Measurement(instruments.BUDGET_HELD, reserved, {"blaxel.budget.unit": unit})
        yield Measurement(instruments.CALLS_LOST, totals.failed_maybe_billed, {})


class CallTelemetry:
    """Makes spans and metrics of the calls of one runtime; a `CallObserver`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def begin(self, context: CallContext) -> None:
        """Follow the attempts of the call."""
        context.attempts = AttemptSpans(self._telemetry, context)

    async def end(self, context: CallContext, outcome: Outcome) -> None:
        """End the span of the last attempt, and record the usage of the whole call."""
        if context.attempts:
            context.attempts.end(outcome)
        if isinstance(outcome, BlaxelError) and outcome.code == "budget_exceeded":
            self._telemetry.record(instruments.BUDGET_REFUSED, 1, {"blaxel.workspace": context.workspace or OTHER})
        if context.prepared and not isinstance(outcome, BaseException):
            attributes = metric_attributes(context.prepared, context)
            if context.cost_usd is not None:
                self._telemetry.record(instruments.COST, context.cost_usd, attributes)
            usage = context.usage
            if usage is None or usage.estimated:
                return
            for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                if count is not None:
                    self._telemetry.record(instruments.TOKEN_USAGE, count, {**attributes, "gen_ai.token.type": kind})


class AttemptSpans:
    """The spans of the attempts of one call, one after the other."""

    def __init__(self, telemetry: Telemetry, context: CallContext) -> None:
        self._telemetry = telemetry
        self._context = context
        self._span: Span | None = None
        self._prepared: PreparedRequest | None = None
        self._started = 0.0

    def begin(self, prepared: PreparedRequest) -> APIRequest:
        """Start the span of an attempt, and return its request, with a `traceparent` header."""
        self._prepared, self._started = prepared, time.perf_counter()
        if self._telemetry.tracer is None:
            return prepared.request
        attributes = request_attributes(prepared, self._context)
        name = f"{attributes['gen_ai.operation.name']} {attributes['gen_ai.request.model']}"
        self._span = self._telemetry.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        headers: dict[str, str] = {}
        _traceparent.inject(headers, set_span_in_context(self._span))
        return replace(prepared.request, headers={**headers, **prepared.request.headers})

    def end(self, outcome: Outcome) -> None:
        """End the span of the attempt, unless it has ended already."""
        prepared, span, context = self._prepared, self._span, self._context
        self._prepared = self._span = None
        if prepared is None:
            return
        error = error_type(outcome)
        attributes = metric_attributes(prepared, context) | ({"error.type": error} if error else {})
        self._telemetry.record(instruments.ATTEMPT_DURATION, time.perf_counter() - self._started, attributes)
        stream = context.stream
        chunk_at = stream.first_chunk_at if stream and stream.is_stream else None
        if chunk_at is not None:
            self._telemetry.record(instruments.TIME_TO_FIRST_CHUNK, chunk_at - self._started, attributes)
        if span is not None:
            span.set_attributes(outcome_attributes(context, outcome))
            if chunk_at is not None:
                span.set_attribute("gen_ai.response.time_to_first_chunk", chunk_at - self._started)
            if self._telemetry.has_content:
                try:
                    span.set_attributes(content_attributes(prepared, outcome))
                except Exception as problem:  # noqa: BLE001 - no content of any form may cost an answer
                    logger.warning("the content of a call is not in its span: %s", type(problem).__name__)
            if error:
                # No description: the error's message may quote text from upstream.
                span.set_status(Status(StatusCode.ERROR))
            span.end()
