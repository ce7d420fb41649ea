"""Metrics as Prometheus text (version 0.0.4), for a server without OpenTelemetry's SDK.

`prometheus-client` has one registry for the whole process, and OpenTelemetry's exporter is a beta that needs the SDK.
Sums are all that is needed here.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from blaxel_mcp.inference.instruments import INSTRUMENTS, Attributes, Instrument, Measurement

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
