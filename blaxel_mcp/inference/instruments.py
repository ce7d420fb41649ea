"""The metrics of this server, and where their values go: OpenTelemetry's meters, or Prometheus text (version 0.0.4).

Names, units and buckets of `gen_ai.*` and `mcp.*` are those of OpenTelemetry's semantic conventions 1.40.
`prometheus-client` has one registry for the whole process, and OpenTelemetry's exporter is a beta that needs the SDK.
Sums are all that is needed here.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    # Importing it takes 10 ms, and only a server with metrics needs it.
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

Attributes = Mapping[str, str | int | bool]

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric, by its name in OpenTelemetry. Values are recorded as they occur, but for a gauge, which is read.

    Attributes:
        unit: Its unit; in braces where it only counts something.
        description: One sentence without its full stop.
        bounds: The upper bounds of a histogram's buckets.
    """

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    description: str
    bounds: tuple[float, ...] = ()


OPERATION_DURATION = Instrument(
    "mcp.server.operation.duration",
    "histogram",
    "s",
    "Duration of an MCP request or notification as this server saw it",
    (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
)
ATTEMPT_DURATION = Instrument(
    "gen_ai.client.operation.duration", "histogram", "s", "Duration of one attempt of a model call", _SECONDS
)
TIME_TO_FIRST_CHUNK = Instrument(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    "Time from the request to the first chunk of a streamed answer",
    _SECONDS,
)
TOKEN_USAGE = Instrument(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Tokens of a model call",
    tuple(4.0**power for power in range(14)),
)
COST = Instrument("blaxel.cost", "counter", "USD", "Cost of the model calls whose cost is known")
BUDGET_REFUSED = Instrument("blaxel.budget.refused", "counter", "{call}", "Calls that a cap refused")
BUDGET_USED = Instrument("blaxel.budget.used", "gauge", "1", "Settled usage of the day in UTC, by blaxel.budget.unit")
BUDGET_HELD = Instrument("blaxel.budget.held", "gauge", "1", "Estimates that count against the caps of the day as well")
CALLS_RUNNING = Instrument("blaxel.calls.running", "gauge", "{call}", "Model calls that hold a slot")
CALLS_QUEUED = Instrument("blaxel.calls.queued", "gauge", "{call}", "Model calls that wait for a slot")
CALLS_LOST = Instrument(
    "blaxel.calls.lost", "gauge", "{call}", "Calls of the day that brought no answer and may have been billed"
)

INSTRUMENTS = (
    *(OPERATION_DURATION, ATTEMPT_DURATION, TIME_TO_FIRST_CHUNK, TOKEN_USAGE, COST),
    *(BUDGET_USED, BUDGET_HELD, BUDGET_REFUSED, CALLS_RUNNING, CALLS_QUEUED, CALLS_LOST),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of an instrument."""

    instrument: Instrument
    value: float
    attributes: Attributes


Record = Callable[[Measurement], None]
"""Takes a value of a histogram or counter."""


def meter_recorder(meter: "Meter", read_gauges: Callable[[], Iterable[Measurement]]) -> Record:
    """Return a recorder that hands values to a meter, and let its exporter read the gauges, in a thread of its own."""
    from opentelemetry.metrics import Observation  # noqa: PLC0415 - as above

    def observed(instrument: Instrument, _: "CallbackOptions") -> Iterable["Observation"]:
        return [Observation(each.value, each.attributes) for each in read_gauges() if each.instrument is instrument]

    records: dict[str, Callable[..., None]] = {}
    for instrument in INSTRUMENTS:
        name, about = instrument.name, {"unit": instrument.unit, "description": instrument.description}
        match instrument.kind:
            case "histogram":
                bounds = instrument.bounds
                records[name] = meter.create_histogram(name, explicit_bucket_boundaries_advisory=bounds, **about).record
            case "counter":
                records[name] = meter.create_counter(name, **about).add
            case "gauge":
                meter.create_observable_gauge(name, [partial(observed, instrument)], **about)

    def record(measurement: Measurement) -> None:
        records[measurement.instrument.name](measurement.value, measurement.attributes)

    return record


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MAX_SERIES = 2000
"""Maximum combinations of attributes of one metric; further ones share a series, as in OpenTelemetry."""

_OVERFLOW = (("otel_metric_overflow", "true"),)
_UNITS = {"s": "seconds", "USD": "usd"}

_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Series:
    """The values of one metric with the same labels."""

    total: float = 0.0
    count: int = 0
    buckets: list[int] = field(default_factory=list)


class PrometheusRecorder:
    """Sums values up. Use it in one thread: that of the event loop."""

    def __init__(self) -> None:
        self._series: dict[str, dict[_Labels, _Series]] = {instrument.name: {} for instrument in INSTRUMENTS}

    def record(self, measurement: Measurement) -> None:
        """Take a value of a histogram or counter."""
        instrument, all_series = measurement.instrument, self._series[measurement.instrument.name]
        labels = _labels(measurement.attributes)
        series = all_series.get(labels)
        if series is None:
            if len(all_series) >= MAX_SERIES:
                labels = _OVERFLOW
            series = all_series.setdefault(labels, _Series(buckets=[0] * len(instrument.bounds)))
        series.total += measurement.value
        series.count += 1
        bucket = bisect_left(instrument.bounds, measurement.value)
        if bucket < len(instrument.bounds):
            series.buckets[bucket] += 1

    def text(self, gauges: Iterable[Measurement]) -> str:
        """Return the recorded metrics and the given gauges as text."""
        values = list(gauges)
        return "".join(f"{line}\n" for instrument in INSTRUMENTS for line in self._lines(instrument, values))

    def _lines(self, instrument: Instrument, gauges: list[Measurement]) -> Iterator[str]:
        name = metric_name(instrument)
        yield f"# HELP {name} {instrument.description}."
        yield f"# TYPE {name} {instrument.kind}"
        if instrument.kind == "gauge":
            for each in gauges:
                if each.instrument is instrument:
                    yield f"{name}{_shown(_labels(each.attributes))} {each.value:.12g}"
        for labels, series in self._series[instrument.name].items():
            if instrument.kind == "counter":
                yield f"{name}{_shown(labels)} {series.total:.12g}"
                continue
            count = 0
            for bound, more in zip(instrument.bounds, series.buckets, strict=True):
                count += more
                yield f"{name}_bucket{_shown((*labels, ('le', f'{bound:.12g}')))} {count}"
            yield f"{name}_bucket{_shown((*labels, ('le', '+Inf')))} {series.count}"
            yield f"{name}_sum{_shown(labels)} {series.total:.12g}"
            yield f"{name}_count{_shown(labels)} {series.count}"


def metric_name(instrument: Instrument) -> str:
    """Return the name of a metric in Prometheus, with its unit, as OpenTelemetry's specification derives it."""
    unit = _UNITS.get(instrument.unit)
    parts = [re.sub(r"\W", "_", instrument.name)]
    if unit and not parts[0].endswith(unit):
        parts.append(unit)
    if instrument.kind == "counter":
        parts.append("total")
    return "_".join(parts)


def _labels(attributes: Attributes) -> _Labels:
    return tuple(sorted((re.sub(r"\W", "_", name), str(value)) for name, value in attributes.items()))


def _shown(labels: Iterable[tuple[str, str]]) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    pairs = [f'{name}="{value.translate(escapes)}"' for name, value in labels]
    return f"{{{','.join(pairs)}}}" if pairs else ""
