"""Spans and metrics of model calls, by OpenTelemetry's conventions for generative AI; never a prompt or an answer.

Each attempt is a client span below the span of the MCP request. What a span says is made of names, numbers and codes.
Text of the caller or from upstream becomes an attribute only if it has the form of a name.
"""

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from blaxel_mcp.budget.usage import Usage, read_usage
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.answers import FREE_APIS, JSONAnswer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.instruments import (
    ATTEMPT_DURATION,
    BUDGET_HELD,
    BUDGET_REFUSED,
    BUDGET_USED,
    CALLS_LOST,
    CALLS_QUEUED,
    CALLS_RUNNING,
    COST,
    TIME_TO_FIRST_CHUNK,
    TOKEN_USAGE,
    Instrument,
    Measurement,
    Recorder,
)
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.observers import Outcome, billed, name_or_none
from blaxel_mcp.inference.prepare import PreparedRequest
from blaxel_mcp.inference.spending import Spending

logger = logging.getLogger(__name__)

OTHER = "_OTHER"
"""OpenTelemetry's value for one that is not known, so that nobody can make a metric grow with names of their own."""

_OPERATIONS: Mapping[str, str] = {
    "chat-completions": "chat",
    "responses": "chat",
    "messages": "chat",
    "cohere-chat": "chat",
    "generate-content": "generate_content",
}
"""The operations of APIs that OpenTelemetry has names for; the others go by the API's own name."""

_PROVIDERS: Mapping[str, str] = {
    "azure-openai-service": "azure.ai.openai",
    "azure-ai-inference": "azure.ai.inference",
    "azure-marketplace": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""OpenTelemetry's names of providers, by Blaxel's types; the others are the same."""

_WORD = re.compile(r"[A-Za-z_-]{1,40}")
_MAX_REASONS = 16

_READ_SECONDS = 1.0
"""How long the gauges that were read are good for: an exporter asks for each of them in turn."""

_traceparent = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Readings:
    at: float
    values: Sequence[Measurement]


class Telemetry:
    """Where the spans and metrics of a server go.

    Args:
        tracer: Makes spans; None for none.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, tracer: Tracer | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self.tracer = tracer
        self._now = now
        self.recorders: list[Recorder] = []
        # Exporters read in threads of their own.
        self._watching = threading.Lock()
        self._limits: WeakSet[CallLimits] = WeakSet()
        self._spending: WeakSet[Spending] = WeakSet()
        self._readings: _Readings | None = None

    def watch(self, limits: CallLimits, spending: Spending) -> None:
        """Read the gauges from these too, for as long as they are in use."""
        with self._watching:
            self._limits.add(limits)
            if spending.is_owners:
                self._spending.add(spending)

    def record(self, instrument: Instrument, value: float, attributes: Mapping[str, str | int | bool]) -> None:
        """Take a value of a histogram or counter. A recorder that fails is logged, and costs no answer."""
        for recorder in self.recorders:
            try:
                recorder.record(Measurement(instrument, value, attributes))
            except Exception:
                logger.exception("a value of %s was not recorded", instrument.name)

    def read_gauges(self) -> Sequence[Measurement]:
        """Return the values of the gauges, at most a second old. It may block on the ledger."""
        readings, now = self._readings, self._now()
        if readings is None or now - readings.at > _READ_SECONDS:
            readings = self._readings = _Readings(now, [*self._read_calls(), *self._read_budget()])
        return readings.values

    def hold_gauges(self) -> None:
        """Read the gauges for the last time: the ledger is about to be closed, and an exporter asks after that."""
        self._readings = None
        self._readings = _Readings(math.inf, self.read_gauges())

    def _read_calls(self) -> Iterator[Measurement]:
        # The callers of a server share their limits, and each has an object of its own for them.
        with self._watching:
            loads = {load.limits: load for load in (limits.load() for limits in self._limits)}.values()
        yield Measurement(CALLS_RUNNING, sum(load.running for load in loads), {})
        yield Measurement(CALLS_QUEUED, sum(load.queued for load in loads), {})

    def _read_budget(self) -> Iterator[Measurement]:
        # All of them count in the owner's ledger, and one may have fallen back to memory.
        with self._watching:
            spending = list(self._spending)
        totals = next((totals for each in spending if (totals := each.totals_today()) is not None), None)
        if totals is None:
            return
        for unit, used, held in (
            ("calls", totals.calls, 0),
            ("tokens", totals.total_tokens, totals.held_tokens),
            ("usd", totals.nano_usd / 1e9, totals.held_nano_usd / 1e9),
        ):
            yield Measurement(BUDGET_USED, used, {"blaxel.budget.unit": unit})
            yield Measurement(BUDGET_HELD, held, {"blaxel.budget.unit": unit})
        yield Measurement(CALLS_LOST, totals.failed_maybe_billed, {})


class CallTelemetry:
    """Makes spans and metrics of the calls of one runtime; a `CallObserver`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def begin(self, context: CallContext) -> None:
        """Follow the attempts of the call."""
        context.attempts = AttemptSpans(self._telemetry, context)

    async def end(self, context: CallContext, outcome: Outcome) -> None:
        """End the span of the last attempt, and record what the whole call took."""
        if isinstance(context.attempts, AttemptSpans):
            context.attempts.end(outcome)
        if isinstance(outcome, BlaxelError) and outcome.code == "budget_exceeded":
            self._telemetry.record(BUDGET_REFUSED, 1, {"blaxel.workspace": context.workspace or OTHER})
        if context.prepared and not isinstance(outcome, BaseException):
            attributes = _metric_attributes(context.prepared, context)
            if context.cost_usd is not None:
                self._telemetry.record(COST, context.cost_usd, attributes)
            for kind, count in _tokens(context.usage):
                self._telemetry.record(TOKEN_USAGE, count, {**attributes, "gen_ai.token.type": kind})


class AttemptSpans:
    """The spans of the attempts of one call, one after the other.

    Args:
        telemetry: Where they go.
        context: The call.
    """

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

    def fail(self, error: BlaxelError) -> None:
        """End the span of an attempt that failed."""
        self.end(error)

    def end(self, outcome: Outcome) -> None:
        """End the span of the attempt, unless that has ended."""
        prepared, span, context = self._prepared, self._span, self._context
        self._prepared = self._span = None
        if prepared is None:
            return
        error = error_type(outcome)
        attributes = _metric_attributes(prepared, context) | ({"error.type": error} if error else {})
        self._telemetry.record(ATTEMPT_DURATION, time.perf_counter() - self._started, attributes)
        stream = context.stream
        chunk_at = stream.first_chunk_at if stream and stream.is_stream else None
        if chunk_at is not None:
            self._telemetry.record(TIME_TO_FIRST_CHUNK, chunk_at - self._started, attributes)
        if span is not None:
            span.set_attributes(outcome_attributes(context, outcome))
            if chunk_at is not None:
                span.set_attribute("gen_ai.response.time_to_first_chunk", chunk_at - self._started)
            if error:
                # No description: the error's message may quote what came from upstream.
                span.set_status(Status(StatusCode.ERROR))
            span.end()


def request_attributes(prepared: PreparedRequest, context: CallContext) -> dict[str, str | int | bool]:
    """Return what is known of an attempt before it is sent."""
    url = urlsplit(prepared.request.url)
    return {
        "gen_ai.operation.name": _operation(prepared),
        "gen_ai.provider.name": _provider(context),
        "gen_ai.request.model": _request_model(prepared, context),
        "gen_ai.request.stream": isinstance(prepared.body, dict) and prepared.body.get("stream") is True,
        "server.address": url.hostname or OTHER,
        "server.port": url.port or (443 if url.scheme == "https" else 80),
        "blaxel.model": name_or_none(context.model) or OTHER,
        "blaxel.workspace": context.workspace or OTHER,
        "blaxel.call_id": context.call_id,
    }


def outcome_attributes(context: CallContext, outcome: Outcome) -> dict[str, Any]:
    """Return what is known of an attempt when it has ended; of an answer, its model, end, usage and cost."""
    error, status = error_type(outcome), context.trace.status
    found: dict[str, Any] = {
        "error.type": error,
        "http.response.status_code": status,
        "blaxel.request_id": name_or_none(context.trace.request_id),
        "blaxel.attempts": context.trace.attempts,
        "blaxel.billed": billed(context, outcome),
    }
    if not isinstance(outcome, BaseException):
        value = outcome.value if isinstance(outcome, JSONAnswer) else None
        api = context.prepared.route.api.name if context.prepared and context.prepared.route.api else None
        usage = context.usage or read_usage(value)
        found |= {
            "gen_ai.response.model": _response_model(value, api),
            "gen_ai.response.finish_reasons": finish_reasons(value, api) or None,
            "blaxel.cost": context.cost_usd,
        }
        if usage is not None:
            found |= {
                "gen_ai.usage.input_tokens": usage.input_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
                "blaxel.usage.estimated": usage.estimated,
            }
    return {name: value for name, value in found.items() if value is not None}


def finish_reasons(value: Any, api: str | None) -> list[str]:
    """Return why a model stopped writing, as the answer of an API says it: one word for each choice.

    Args:
        value: The answer.
        api: The name of the API. Of an unknown one, any word may be what the model found.
    """
    if not isinstance(value, dict) or api in FREE_APIS:
        return []
    listed = [
        each.get(name)
        for place, name in (("choices", "finish_reason"), ("candidates", "finishReason"))
        for each in (value[place] if isinstance(value.get(place), list) else ())
        if isinstance(each, dict)
    ]
    single = ("status",) if api == "responses" else ("stop_reason", "finish_reason")
    reasons = listed or [value.get(name) for name in single]
    return [reason for reason in reasons if isinstance(reason, str) and _WORD.fullmatch(reason)][:_MAX_REASONS]


def error_type(outcome: Outcome) -> str | None:
    """Return the code of a failure; None for an answer."""
    if not isinstance(outcome, BaseException):
        return None
    if isinstance(outcome, BlaxelError):
        return outcome.code
    return "cancelled" if not isinstance(outcome, Exception) else OTHER


def _operation(prepared: PreparedRequest) -> str:
    api = prepared.route.api
    name = api.name if api else "raw"
    return _OPERATIONS.get(name, name)


def _provider(context: CallContext) -> str:
    kind = (context.record and context.record.runtime_type) or "blaxel"
    return name_or_none(_PROVIDERS.get(kind, kind)) or OTHER


def _request_model(prepared: PreparedRequest, context: CallContext) -> str:
    """Return the provider's name of the model if it is known, else the name in the request."""
    own = (context.record and context.record.provider_model) or context.model
    return name_or_none(own if prepared.model == context.model else prepared.model) or OTHER


def _response_model(value: Any, api: str | None) -> str | None:
    if not isinstance(value, dict) or api in FREE_APIS:
        return None
    return name_or_none(value.get("model") or value.get("modelVersion"))


def _metric_attributes(prepared: PreparedRequest, context: CallContext) -> dict[str, str | int | bool]:
    """Return the attributes of a metric: of models, only the names of those that exist or are configured."""
    is_known = prepared.settings is not None or (context.record is not None and prepared.model == context.model)
    return {
        "gen_ai.operation.name": _operation(prepared),
        "gen_ai.provider.name": _provider(context),
        "gen_ai.request.model": _request_model(prepared, context) if is_known else OTHER,
        "blaxel.model": (context.model or OTHER) if is_known else OTHER,
        "blaxel.workspace": context.workspace or OTHER,
    }


def _tokens(usage: Usage | None) -> Iterator[tuple[str, int]]:
    if usage is not None and not usage.estimated:
        for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if count is not None:
                yield kind, count
