"""Measure several replicas behind a load balancer, and what becomes of calls while a replica and Redis fail.

`python -m benchmarks.replicas` needs `redis-server` and `haproxy`. Everything runs on loopback.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from redis import Redis

from benchmarks.driver import BenchmarkError, Call, check, processor_seconds, resident_megabytes
from benchmarks.faults import faults
from benchmarks.fleet import (
    FULL,
    MODELS,
    QUICK,
    TOKENS,
    Fleet,
    Size,
    marked_call,
    missing_programs,
    request_of,
    running,
)
from benchmarks.http_driver import connected, message_in, read_answer
from benchmarks.report import table

_CALLERS = 40
"""Callers whose calls per second are measured."""


def throughput(size: Size) -> str:
    """Return a table of calls per second and processor time over one, two and three replicas."""
    rows = []
    for replicas in (1, 2, 3):
        with running(replicas, {"budget.calls_per_day": 10_000_000}) as started:
            for _ in range(replicas):
                # haproxy takes them in turn: each replica meets each caller.
                asyncio.run(_each(started.port, [marked_call("warm")] * _CALLERS))
            before = _processor_times(started)
            seconds = asyncio.run(_flow(started.port, size.clients, size.seconds))
            used = {name: at - before[name] for name, at in _processor_times(started).items()}
        done = len(seconds)
        milliseconds = [1000 * each for each in sorted(seconds)]
        rows.append(
            [
                str(replicas),
                f"{done / size.seconds:.0f}",
                f"{statistics.median(milliseconds):.0f} ms",
                f"{milliseconds[int(0.95 * done)]:.0f} ms",
                *(f"{1000 * used[name] / done:.2f} ms" for name in ("replicas", "redis", "haproxy")),
            ]
        )
    head = ("replicas", "calls/s", "p50", "p95", "processor time of a call: replicas", "Redis", "haproxy")
    return table(head, rows)


def checked(body: bytes) -> None:
    """Check that a body has the result of a call.

    Raises:
        BenchmarkError: It has an error, or is the page of haproxy without a replica that is ready.
    """
    try:
        check(message_in(body))
    except ValueError:
        raise BenchmarkError(f"no answer but {body[:100]!r}") from None


async def _flow(port: int, clients: int, seconds: float) -> list[float]:
    """Return the duration of each call while each of some connections makes one call after another."""
    durations: list[float] = []
    until = time.perf_counter() + seconds
    numbers = count()

    async def client() -> None:
        reader, writer = await connected(port)
        while (started := time.perf_counter()) < until:
            number = next(numbers)
            writer.write(request_of(number % _CALLERS, marked_call(f"flow{number}"), port))
            checked(await read_answer(reader))
            durations.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return durations


def _processor_times(started: Fleet) -> dict[str, float]:
    return {
        "replicas": sum(processor_seconds(replica.pid) for replica in started.replicas),
        "redis": processor_seconds(started.redis.pid),
        "haproxy": processor_seconds(started.balancer.pid),
    }


KINDS: Mapping[str, tuple[Mapping[str, object], Callable[[str], Call]]] = {
    "a call": ({}, marked_call),
    "under a cap": ({"budget.calls_per_day": 10_000_000}, marked_call),
    "under a cap, 100 models used today": ({"budget.calls_per_day": 10_000_000}, marked_call),
    "under a cap, 2 kB": ({"budget.calls_per_day": 10_000_000}, partial(marked_call, words=300)),
    "with a key, under a cap": ({"budget.calls_per_day": 10_000_000}, partial(marked_call, has_key=True)),
    "with a key, under a cap, 2 kB": (
        {"budget.calls_per_day": 10_000_000},
        partial(marked_call, words=300, has_key=True),
    ),
    "handed back, under a cap": (
        {"budget.calls_per_day": 10_000_000, "limits.detach_after_seconds": 0.05},
        partial(marked_call, delay_ms=300),
    ),
}


def operations(size: Size) -> str:
    """Return a table of what Redis does for a call, by `INFO commandstats`, and what it keeps of it."""
    calls, rows = 20 * size.clients, []
    for name, (settings, call) in KINDS.items():
        with running(1, settings) as started, started.engine() as engine:
            asyncio.run(_each(started.port, [call(f"warm{number}") for number in range(_CALLERS)]))
            if "100 models" in name:
                asyncio.run(_each(started.port, [marked_call("warm", model=model) for model in MODELS]))
            time.sleep(1)
            kept = _kept_bytes(engine)
            engine.config_resetstat()
            asyncio.run(_each(started.port, [call(f"one{number}") for number in range(calls)]))
            time.sleep(1)
            stats, kept = engine.info("commandstats"), _kept_bytes(engine) - kept
        sent = {key.removeprefix("cmdstat_"): each for key, each in stats.items()}
        scripts = sent.get("evalsha", {"calls": 0, "usec": 0})
        transactions = sent.get("exec", {"calls": 0})["calls"]
        rows.append(
            [
                name,
                f"{scripts['calls'] / calls:.1f}",
                f"{transactions / calls:.1f}",
                f"{sum(each['calls'] for each in sent.values()) / calls:.0f}",
                f"{sum(each['usec'] for key, each in sent.items() if key in ('evalsha', 'exec')) / calls:.0f} us",
                f"{kept / calls / 1000:.1f} kB",
            ]
        )
    head = ("", "scripts", "transactions", "commands, those in scripts included", "time in Redis", "kept in Redis")
    return table(head, rows)


def _kept_bytes(engine: Redis) -> int:
    """Return the memory of all keys. That of the process also has its buffers, which come and go."""
    return sum(engine.memory_usage(key, samples=0) or 0 for key in engine.scan_iter(count=1000))


async def _each(port: int, calls: Sequence[Call], callers: int = _CALLERS) -> None:
    """Make calls one after the other, of some callers in turn."""
    reader, writer = await connected(port)
    for number, call in enumerate(calls):
        writer.write(request_of(number % callers, call, port))
        checked(await read_answer(reader))
    writer.close()


def callers(size: Size) -> str:
    """Return a table of what a caller takes in a replica, by its first call."""
    known = min(len(TOKENS), 4 * size.clients)
    with running(1) as started:
        pid = started.replicas[0].pid
        asyncio.run(_each(started.port, [marked_call("first")]))
        resident, used = resident_megabytes(pid), processor_seconds(pid)
        asyncio.run(_each(started.port, [marked_call("first")] * known, known))
        kilobytes = 1000 * (resident_megabytes(pid) - resident) / known
        milliseconds = 1000 * (processor_seconds(pid) - used) / known
    head = ("callers", "memory of a replica for each", "processor time of its first call")
    return table(head, [[str(known), f"{kilobytes:.0f} kB", f"{milliseconds:.0f} ms"]])


def memory(size: Size) -> str:
    """Return a table of the memory of a replica and of Redis for calls in flight."""
    rows = []
    for in_flight in (size.in_flight // 2, size.in_flight):
        with running(1, {"budget.calls_per_day": 10_000_000}) as started, started.engine() as engine:
            asyncio.run(_each(started.port, [marked_call("warm")] * _CALLERS))
            idle = resident_megabytes(started.replicas[0].pid), _kept_bytes(engine)
            busy: list[tuple[float, int]] = []

            def look(engine: Any = engine, started: Fleet = started, busy: list[tuple[float, int]] = busy) -> None:
                busy.append((resident_megabytes(started.replicas[0].pid), _kept_bytes(engine)))

            asyncio.run(_at_once(started.port, in_flight, 6000, look))
        (resident, used) = busy[-1]
        rows.append(
            [
                str(in_flight),
                f"{idle[0]:.0f} MB",
                f"{resident:.0f} MB",
                f"{1000 * (resident - idle[0]) / in_flight:.0f} kB",
                f"{(used - idle[1]) / in_flight / 1000:.1f} kB",
            ]
        )
    return table(("calls in flight", "a replica before", "with them", "for each call", "for each call in Redis"), rows)


async def _at_once(port: int, clients: int, delay_ms: int, look: Callable[[], None]) -> None:
    async def one(number: int) -> None:
        reader, writer = await connected(port)
        writer.write(request_of(number % _CALLERS, marked_call(f"held{number}", delay_ms), port))
        checked(await read_answer(reader))
        writer.close()

    async def observer() -> None:
        await asyncio.sleep(0.6 * delay_ms / 1000)
        look()

    await asyncio.gather(observer(), *(one(number) for number in range(clients)))


PARTS: Mapping[str, Callable[[Size], str]] = {
    "throughput": throughput,
    "operations": operations,
    "memory": memory,
    "callers": callers,
    "faults": faults,
}


def main() -> int:
    """Print the tables of the chosen parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small figures, which prove that it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (default: all)")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"{' and '.join(missing)} cannot be found; on Debian, install them with apt-get.", file=sys.stderr)
        return 2
    for part in options.only or PARTS:
        try:
            print(f"{part}\n\n{PARTS[part](QUICK if options.quick else FULL)}\n", flush=True)
        except BenchmarkError as error:
            print(f"{part}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
