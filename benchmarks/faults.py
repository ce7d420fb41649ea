"""Calls while a replica is killed, Redis restarts and another replica drains: each is sent and counted at most once."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.driver import BenchmarkError
from benchmarks.fleet import Child, Fleet, Size, marked_call, request_of, running
from benchmarks.http_driver import message_in, read_answer
from benchmarks.report import table

RECEIPT, ERROR = "blaxel-mcp/call", "blaxel-mcp/error"
DELAY_MS = 300
_RETRY_SECONDS = 0.1
_REPEATED = 50
"""How many of the calls that were answered are repeated at the end."""

_PATIENCE_SECONDS = 60
"""How long the ledger has to settle."""


@dataclass(slots=True)
class Story:
    """What clients were told about the calls that they made, by mark.

    Attributes:
        answers: The ids of the calls whose answers they got, one for each time.
        unbilled: Calls that nobody was billed for, as the last error said.
        uncertain: Calls that may have been billed, as the last error said.
        broken: Requests that got no MCP answer, and were repeated.
    """

    answers: dict[str, list[str]] = field(default_factory=dict)
    unbilled: dict[str, str] = field(default_factory=dict)
    uncertain: dict[str, str] = field(default_factory=dict)
    broken: int = 0


def faults(size: Size) -> str:
    """Kill a replica, Redis, and drain a replica under load; return a table of what was counted.

    Raises:
        BenchmarkError: A call was sent or answered twice, a cap was passed, or the ledger does not agree.
    """
    cap = round(0.9 * size.calls)
    settings = {"budget.calls_per_day": cap, "shared.lease_seconds": 2, "http.drain_seconds": 20}
    story = Story()
    with running(3, settings) as started:
        with started.engine() as engine:
            # With `everysec`, a Redis that is killed while its disk is busy loses up to two seconds of what it said;
            # with `no`, it loses them only with the machine.
            engine.config_set("appendfsync", "no")
        asyncio.run(_under_load(started, size, story))
        usage, counts = _settled_usage(started), started.counts()
    wrong = problems(story, counts, cap, usage["budget"]["calls"]["used"])
    lost = sum(day["failed_maybe_billed"] for day in usage["days"])
    rows = [
        ("calls made by clients, each with a key", len({*story.answers, *story.unbilled, *story.uncertain})),
        ("requests without an answer, repeated", story.broken),
        ("answered", len(story.answers)),
        ("of these, repeated at the end and replayed", sum(len(each) - 1 for each in story.answers.values())),
        ("refused by the cap", len(story.unbilled)),
        ("lost: may have been billed", len(story.uncertain)),
        ("cap", cap),
        ("requests at the upstream", sum(counts.values())),
        ("calls in the ledger", usage["budget"]["calls"]["used"]),
        ("of these, counted by their estimate", lost),
    ]
    if wrong:
        raise BenchmarkError("; ".join(wrong))
    return table(("", ""), [[name, f"{value:,}"] for name, value in rows])


def problems(story: Story, counts: Mapping[str, int], cap: int, ledger: int) -> list[str]:
    """Return what must not be."""
    ids = Counter(call_id for call_ids in story.answers.values() for call_id in set(call_ids))
    # A replica that is killed may have reserved a call that it has not sent yet, which counts.
    sent, unsent = sum(counts.values()), sum(mark not in counts for mark in story.uncertain)
    is_counted = sent <= ledger <= sent + unsent
    checks: Mapping[str, Sequence[object]] = {
        "the upstream got a call twice": [mark for mark, times in counts.items() if times > 1],
        "one answer for two calls": [call_id for call_id, calls in ids.items() if calls > 1],
        "two answers for one call": [mark for mark, call_ids in story.answers.items() if len(set(call_ids)) > 1],
        "an answer without a request": [mark for mark in story.answers if mark not in counts],
        "a call that was said to be unbilled was sent": [mark for mark in story.unbilled if mark in counts],
        f"the cap of {cap} was passed": [each for each in (sent, ledger) if each > cap],
        f"the upstream got {sent} calls, and the ledger has {ledger}": [] if is_counted else [ledger],
    }
    return [f"{problem} ({len(cases)})" for problem, cases in checks.items() if cases]


async def _under_load(started: Fleet, size: Size, story: Story) -> None:
    """Have clients make all calls, and let one thing fail after each fifth of them."""
    numbers = iter(range(size.calls))
    until = time.monotonic() + 10 * _PATIENCE_SECONDS
    reached = {size.calls * (1 + index) // 5: asyncio.Event() for index in range(3)}

    async def client() -> None:
        for number in numbers:
            if number in reached:
                reached[number].set()
            await _one_call(started.port, number, until, story)

    async def fail() -> None:
        for event, fault in zip(reached.values(), (_kill_replica, _restart_redis, _drain_replica), strict=True):
            await event.wait()
            await asyncio.to_thread(fault, started)

    await asyncio.gather(fail(), *(client() for _ in range(size.clients)))
    for number in [int(mark.removeprefix("m")) for mark in story.answers][:: max(1, size.calls // _REPEATED)]:
        await _one_call(started.port, number, until, story)


def _kill_replica(started: Fleet) -> None:
    _replaced(started.replicas[0], signal.SIGKILL)


def _drain_replica(started: Fleet) -> None:
    _replaced(started.replicas[1], signal.SIGTERM)


def _restart_redis(started: Fleet) -> None:
    started.redis.end(signal.SIGKILL)
    time.sleep(_RETRY_SECONDS)
    started.redis.start()


def _replaced(replica: Child, number: signal.Signals) -> None:
    replica.end(number)
    replica.start()


async def _one_call(port: int, number: int, until: float, story: Story) -> None:
    """Make a call, and repeat it with its key until it is known what became of it."""
    mark = f"m{number}"
    while True:
        result = await _result(port, request_of(number, marked_call(mark, DELAY_MS, has_key=True), port))
        if result is None:
            story.broken += 1
        elif result.get("structuredContent", {}).get("state") == "running":
            # Another server runs it, and Redis is away.
            pass
        elif not result.get("isError"):
            receipt = result["_meta"][RECEIPT]
            content = result["structuredContent"]["choices"][0]["message"]["content"]
            if content != f"mark-{mark}":
                raise BenchmarkError(f"the call {mark} got the answer {content}")
            story.answers.setdefault(mark, []).append(receipt["call_id"])
            return
        else:
            error = result["_meta"][ERROR]
            if error["billed"] != "no":
                story.uncertain[mark] = error["code"]
                return
            # The other refusals are those of a Redis that is away.
            if error["retry_after_seconds"] is not None or time.monotonic() > until:
                story.unbilled[mark] = error["code"]
                return
        await asyncio.sleep(_RETRY_SECONDS)


async def _result(port: int, data: bytes) -> dict[str, Any] | None:
    """Return the result of a request over a connection of its own; None if it got none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            message = json.loads(message_in(await read_answer(reader)))
        finally:
            writer.close()
    except (OSError, EOFError, ValueError):
        return None
    result: dict[str, Any] | None = message.get("result")
    return result


def _settled_usage(started: Fleet) -> dict[str, Any]:
    """Return the usage when no call is unsettled any more."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        usage = started.ledger()
        if not any(day["unsettled"] for day in usage["days"]) or time.monotonic() > until:
            return usage
        time.sleep(_RETRY_SECONDS)
