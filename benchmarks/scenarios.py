"""Scenarios: each starts one process of a server, measures it and ends it."""

import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.driver import StdioSession, process, processor_seconds, resident_megabytes
from benchmarks.figures import percentile
from benchmarks.http_driver import Era
from benchmarks.http_driver import calls_per_second as http_calls_per_second
from benchmarks.models import EVENTS, LARGE, ORDINARY, SLOW, VERY_LARGE
from benchmarks.rows import CALLS_AT_ONCE, IN_FLIGHT, processor_key
from benchmarks.servers import Contender, Setup
from benchmarks.timing import calls_per_second, seconds_of, seconds_of_burst

MILLISECONDS = 1000

Values = dict[str, float]
"""The measured value of each row by its key, and processor times in seconds."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much one round of a scenario does.

    Attributes:
        warm_up: Calls before anything is timed.
        calls: Calls one after another that are timed.
        bursts: How often calls are made at once; the fastest counts.
        flow: Calls whose rate is measured.
        memory: Calls before the first and between the first and second look at the memory.
        large: Answers of 1 MB.
        streams: Event streams.
        slow: Slow calls at once.
    """

    warm_up: int = 100
    calls: int = 300
    bursts: int = 4
    flow: int = 800
    memory: tuple[int, int] = (1000, 2000)
    large: int = 12
    streams: int = 30
    slow: int = 512


FULL = Size()
QUICK = Size(warm_up=10, calls=40, bursts=1, flow=100, memory=(50, 100), large=2, streams=5, slow=64)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario needs to know.

    Attributes:
        url: The upstream.
        size: How much to do.
        profile: The file for a profile of the timed part of our server, None to measure without a profiler.
    """

    url: str
    size: Size
    profile: Path | None = None


@contextmanager
def session(contender: Contender, bench: Bench, *, models: int = 10, capped: bool = False) -> Iterator[StdioSession]:
    """Start a server in an empty folder and open a session with it."""
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(bench.url, Path(scratch), models, capped=capped, profile=bench.profile)
        with process(contender.launch(setup), setup.folder / "stderr") as server:
            opened = StdioSession(server, profiled=bench.profile is not None)
            opened.open()
            yield opened


@contextmanager
def processor_time(values: Values, key: str, opened: StdioSession) -> Iterator[None]:
    """Add the processor time that the server takes during the block."""
    before = processor_seconds(opened.server.pid)
    yield
    values[processor_key(key)] = processor_seconds(opened.server.pid) - before


def start(contender: Contender, bench: Bench) -> Values:
    """Measure a server that lists its tools and ends."""
    started = time.perf_counter()
    with session(contender, bench) as opened:
        listed = time.perf_counter()
        memory, busy = resident_megabytes(opened.server.pid), processor_seconds(opened.server.pid)
        closing = time.perf_counter()
        opened.close()
        closed = time.perf_counter()
    return {
        "start": (listed - started) * MILLISECONDS,
        processor_key("start"): busy,
        "listed-memory": memory,
        "exit": (closed - closing) * MILLISECONDS,
    }


def start_with_1000_models(contender: Contender, bench: Bench) -> Values:
    """Measure the start of a server with a thousand tools."""
    started = time.perf_counter()
    with session(contender, bench, models=1000) as opened:
        listed = time.perf_counter()
        busy = processor_seconds(opened.server.pid)
        opened.close()
    return {"start1000": (listed - started) * MILLISECONDS, processor_key("start1000"): busy}


def calls(contender: Contender, bench: Bench, *, capped: bool = False) -> Values:
    """Measure short calls: one after another, many at once, and a steady number in flight."""
    size, call, values = bench.size, contender.call(ORDINARY), Values()
    with session(contender, bench, capped=capped) as opened:
        for _ in range(size.warm_up):
            seconds_of(call, opened)
        opened.begin_profile()
        with processor_time(values, "p50", opened):
            seconds = [seconds_of(call, opened) for _ in range(size.calls)]
        seconds_of_burst(call, opened, CALLS_AT_ONCE)
        with processor_time(values, "burst", opened):
            burst = min(seconds_of_burst(call, opened, CALLS_AT_ONCE) for _ in range(size.bursts))
        calls_per_second(call, opened, size.warm_up + IN_FLIGHT, IN_FLIGHT)
        with processor_time(values, "flow", opened):
            flow = calls_per_second(call, opened, size.flow, IN_FLIGHT)
        opened.close()
    values["p50"] = statistics.median(seconds) * MILLISECONDS
    values["p95"] = percentile(seconds, 95) * MILLISECONDS
    values["burst"], values["flow"] = burst * MILLISECONDS, flow
    return {f"capped-{key}": value for key, value in values.items()} if capped else values


def memory(contender: Contender, bench: Bench) -> Values:
    """Measure the memory after thousands of calls, and its growth over the later ones."""
    first, then = bench.size.memory
    call = contender.call(ORDINARY)
    with session(contender, bench) as opened:
        calls_per_second(call, opened, first, IN_FLIGHT)
        early = resident_megabytes(opened.server.pid)
        calls_per_second(call, opened, then, IN_FLIGHT)
        late = resident_megabytes(opened.server.pid)
        opened.close()
    return {"memory": late, "growth": late - early}


def large(contender: Contender, bench: Bench) -> Values:
    """Measure JSON answers of 1 MB and of 20 MB, and the peak memory after the largest."""
    values = Values()
    with session(contender, bench) as opened:
        seconds_of(contender.call(ORDINARY), opened)
        seconds_of(contender.call(LARGE), opened)
        opened.begin_profile()
        with processor_time(values, "1mb", opened):
            megabyte = [seconds_of(contender.call(LARGE), opened) for _ in range(bench.size.large)]
        with processor_time(values, "20mb", opened):
            values["20mb"] = seconds_of(contender.call(VERY_LARGE), opened) * MILLISECONDS
        values["20mb-memory"] = resident_megabytes(opened.server.pid, "VmHWM")
        opened.close()
    values["1mb"] = statistics.median(megabyte) * MILLISECONDS
    return values


def stream(contender: Contender, bench: Bench) -> Values:
    """Measure a call whose answer arrives as an event stream."""
    call, values = contender.call(EVENTS), Values()
    with session(contender, bench) as opened:
        seconds_of(call, opened)
        opened.begin_profile()
        with processor_time(values, "stream", opened):
            seconds = [seconds_of(call, opened) for _ in range(bench.size.streams)]
        opened.close()
    values["stream"] = statistics.median(seconds) * MILLISECONDS
    return values


def slow(contender: Contender, bench: Bench) -> Values:
    """Measure calls at once that the upstream answers after a second."""
    values = Values()
    with session(contender, bench) as opened:
        seconds_of(contender.call(ORDINARY), opened)
        opened.begin_profile()
        with processor_time(values, "slow", opened):
            values["slow"] = seconds_of_burst(contender.call(SLOW), opened, bench.size.slow)
        opened.close()
    return values


def http(era: Era, contender: Contender, bench: Bench) -> Values:
    """Measure calls over streamable HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(bench.url, Path(scratch), port=port, profile=bench.profile)
        with process(contender.launch(setup), setup.folder / "stderr"):
            rate = http_calls_per_second(contender.call(ORDINARY), era, port, bench.size.flow, IN_FLIGHT)
    return {f"http{era}": rate}


SCENARIOS: Mapping[str, Callable[[Contender, Bench], Values]] = {
    "start": start,
    "start1000": start_with_1000_models,
    "calls": calls,
    "memory": memory,
    "capped": partial(calls, capped=True),
    "large": large,
    "stream": stream,
    "slow": slow,
    "http2025": partial(http, "2025"),
    "http2026": partial(http, "2026"),
}
