"""Set up OpenTelemetry for a server, by its standard variables, and measure the MCP requests.

OpenTelemetry's API does nothing without an SDK, so a server without one has no telemetry.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from opentelemetry import trace

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.logs import add_to_json_lines
from blaxel_mcp.inference.attributes import OTHER
from blaxel_mcp.inference.instruments import OPERATION_DURATION, meter_recorder
from blaxel_mcp.inference.telemetry import Telemetry
from blaxel_mcp.settings.placeholders import is_unset

logger = logging.getLogger(__name__)

SCOPE = "blaxel_mcp"
"""The name of the instrumentation scope of every span and metric."""

FLUSH_SECONDS = 0.8
"""Timeout for sending the last spans and metrics. A stdio server has 1.2 s in all for its exit."""

_METHODS = {
    *("initialize", "ping", "server/discover", "completion/complete", "subscriptions/listen"),
    *("tools/list", "tools/call", "prompts/list", "prompts/get"),
    *("resources/list", "resources/read", "resources/templates/list"),
    *("notifications/initialized", "notifications/cancelled"),
}
"""The methods that this server handles; all others count as one, so that no client can make a metric grow."""

_HTTP_PROTOBUF = "http/protobuf"
_CAPTURED = frozenset({"true", "1", "span_only", "span_and_event"})


def wanted_signals(environ: Mapping[str, str]) -> list[str]:
    """Return which of `traces` and `metrics` the variables of OpenTelemetry ask to export.

    Raises ConfigurationError for an exporter other than OTLP over HTTP.
    """
    if _value(environ, "OTEL_SDK_DISABLED") == "true":
        return []
    wanted = []
    for signal in ("traces", "metrics"):
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        exporter = _value(environ, variable)
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
        endpoint = _value(environ, f"{own}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        protocol = _value(environ, f"{own}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        if exporter == "none" or not (exporter or endpoint):
            continue
        if exporter not in ("", "otlp") or protocol not in ("", _HTTP_PROTOBUF):
            raise ConfigurationError(
                f"This server exports {signal} by OTLP over HTTP only, and {variable} or "
                "OTEL_EXPORTER_OTLP_PROTOCOL asks for something else.",
                hint=f"Set OTEL_EXPORTER_OTLP_PROTOCOL={_HTTP_PROTOBUF} and {variable}=otlp, or start the "
                "server with opentelemetry-instrument, which sets up any exporter.",
            )
        wanted.append(signal)
    return wanted


def _value(environ: Mapping[str, str], *names: str) -> str:
    """Return the value of the first of some variables that is set, in lower case; empty if none is."""
    values = (environ.get(name, "") for name in names)
    return next((value.strip().lower() for value in values if not is_unset(value)), "")


def start_telemetry(environ: Mapping[str, str]) -> Telemetry | None:
    """Set up telemetry as OpenTelemetry's variables ask, unless the process has an SDK already; None for none.

    Raises ConfigurationError if the extra `otel` is missing, or cannot do what the variables ask.
    """
    # By opentelemetry-instrument, or by the program that this server is a part of.
    is_set_up = _is_sdk(trace.get_tracer_provider())
    signals = [] if is_set_up else wanted_signals(environ)
    if not (is_set_up or signals):
        return None
    from opentelemetry import metrics  # noqa: PLC0415 - it takes 10 ms, which only this server needs

    if signals:
        _set_up(signals)
    add_to_json_lines(trace_ids)
    content = _value(environ, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
    telemetry = Telemetry(trace.get_tracer(SCOPE, __version__), has_content=content in _CAPTURED)
    if _is_sdk(metrics.get_meter_provider()):
        telemetry.recorders.append(meter_recorder(metrics.get_meter(SCOPE, __version__), telemetry.read_gauges))
    return telemetry


def trace_ids() -> dict[str, str]:
    """Return the ids of the span that the running code belongs to, as OpenTelemetry writes them into logs."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}


def start_telemetry_or_warn(environ: Mapping[str, str]) -> Telemetry | None:
    """Do the same, but log errors: clients pass OpenTelemetry's variables on to every server."""
    try:
        return start_telemetry(environ)
    except ConfigurationError as error:
        logger.warning("no telemetry: %s", error)
        return None


@asynccontextmanager
async def flushed(telemetry: Telemetry | None) -> AsyncIterator[None]:
    """Send the remaining telemetry when the context ends, within `FLUSH_SECONDS`; do nothing without telemetry."""
    try:
        yield
    finally:
        if telemetry is not None:
            from opentelemetry import metrics  # noqa: PLC0415 - as above

            with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                async with anyio.create_task_group() as group:
                    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
                        if hasattr(provider, "force_flush"):
                            group.start_soon(_flush, provider)


async def hold_gauges(telemetry: Telemetry) -> None:
    """Keep the last values of the gauges for `flushed`."""
    with anyio.move_on_after(FLUSH_SECONDS, shield=True):
        await anyio.to_thread.run_sync(telemetry.hold_gauges, abandon_on_cancel=True)


async def _flush(provider: Any) -> None:
    """Flush a provider in a thread that does not keep the process alive: a collector may never answer."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def flush() -> None:
        try:
            provider.force_flush(int(FLUSH_SECONDS * 1000))
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything, and the server is about to end
            logger.debug("the last telemetry was not sent: %s", type(error).__name__)
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=flush, name="flush of telemetry", daemon=True).start()
    await done.wait()


def _is_sdk(provider: object) -> bool:
    """Return whether a provider is more than one of the API's own, which do nothing."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def _set_up(signals: list[str]) -> None:
    """Set up the SDK for some signals, or for none if there is an error."""
    steps: list[Callable[[], None]] = []
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - an extra
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - the same
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - the same
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the same
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 - the same
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the same
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the same
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - the same

        resource = Resource({"service.version": __version__}).merge(Resource.create())
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "blaxel-mcp"}))
        # `flushed` sends the rest. At exit, the SDK would wait for a collector that does not answer.
        if "traces" in signals:
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            steps.append(partial(trace.set_tracer_provider, tracers))
        if "metrics" in signals:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
            steps.append(partial(metrics.set_meter_provider, meters))
    except ImportError:
        raise ConfigurationError(
            "OpenTelemetry's variables ask to export telemetry, but its SDK is not installed.",
            hint="Install the extra with `pip install 'blaxel-mcp[otel]'`, or set OTEL_SDK_DISABLED=true.",
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"OpenTelemetry's SDK does not accept its variables: {' '.join(str(error).split())}",
            hint="Correct the OTEL_ variable that this is about, or set OTEL_SDK_DISABLED=true.",
        ) from None
    for step in steps:
        step()


class MeasureOperations:
    """Server middleware that measures each MCP request and notification.

    A client can send any name of a tool: only those for which `is_tool` returns true are named.
    """

    def __init__(self, telemetry: Telemetry, is_tool: Callable[[str], bool], *, over_http: bool) -> None:
        self._telemetry = telemetry
        self._is_tool = is_tool
        self._transport = "tcp" if over_http else "pipe"

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass a message on, and record how long its handling took and how it ended."""
        started, error = time.perf_counter(), ""
        try:
            result = await call_next(ctx)
            match result:
                case types.CallToolResult(is_error=True) | {"isError": True}:
                    error = "tool_error"
            return result
        except MCPError as failure:
            error = str(failure.error.code)
            raise
        except BaseException as failure:
            error = "cancelled" if not isinstance(failure, Exception) else OTHER
            raise
        finally:
            self._telemetry.record(OPERATION_DURATION, time.perf_counter() - started, self._attributes(ctx, error))

    def _attributes(self, context: ServerRequestContext[Any, Any], error: str) -> dict[str, str | int | bool]:
        attributes: dict[str, str | int | bool] = {
            "mcp.method.name": context.method if context.method in _METHODS else OTHER,
            "mcp.protocol.version": context.protocol_version or OTHER,
            "network.transport": self._transport,
        }
        if context.method == "tools/call":
            name = (context.params or {}).get("name")
            if isinstance(name, str) and self._is_tool(name):
                attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        return attributes | ({"error.type": error} if error else {})
