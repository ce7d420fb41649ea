# ruff: noqa: T201 - a script, whose result is what it prints
"""A soak test: thousands of calls, faults among them, after which nothing is lost, counted twice or leaked.

`python -m tests.e2e.soak [--calls N] [--seed N]` runs it and exits with 1 at a finding. One server with a ledger
file, connected by memory streams, calls an emulator on loopback from many tasks at once.
"""

import argparse
import collections
import ctypes
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from blaxel_mcp.budget.figures import UsageTotals
from blaxel_mcp.budget.ledger import Ledger
from blaxel_mcp.emulator import Emulator, RecordedRequest, run_emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.results.results import ERROR_KEY
from tests.e2e.soak_ends import CountingEmulator, CountingTransport, Session, session
from tests.e2e.soak_kinds import CANCELLED, KINDS, Kind

CALLS = 10_000
CONCURRENCY = 24

WARM_UP = 1_000
"""Calls after which everything that is kept for a while, such as the last 200 answers, has its final size."""

LONGEST_SECONDS = 300.0

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""

MOST_GROWTH_MEGABYTES = 8.0
"""Allowed growth of the process between the warm-up and the last call: kept answers differ in size."""

MOST_GROWTH_OBJECTS = 3_000
"""Allowed additional objects: fewer than one for each third call, so that a leak of one per call is found."""


@dataclass(slots=True)
class Findings:
    """The findings, and the counts of the run."""

    wrong: list[str] = field(default_factory=list)
    sent: collections.Counter[Kind] = field(default_factory=collections.Counter)
    tokens: collections.Counter[str] = field(default_factory=collections.Counter)

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        """Add a finding if a value is not the expected one."""
        if found != wanted:
            self.wrong.append(f"{what}: {found!r} and not {wanted!r}")

    def limit(self, what: str, found: float, most: float) -> None:
        """Add a finding if a value is above its limit."""
        if found > most:
            self.wrong.append(f"{what}: {found:,.1f}, and at most {most:,.1f} are allowed")


def configured(emulator: Emulator, ledger: Path) -> Configuration:
    """Return settings with two priced models, caps that are never reached, and a ledger file."""
    price = {"input": 1.0, "output": 2.0}
    return Configuration(
        Settings.model_validate(
            {
                "workspace": "demo",
                "api_key": "demo-key",
                "run_url": emulator.run_url,
                "api_url": emulator.api_url,
                "budget": {"ledger": str(ledger), "calls_per_day": 10**9, "usd_per_day": 10**6, "unpriced": "allow"},
                "limits": {"max_response_bytes": 4 * 1024 * 1024},
                "models": [
                    {"name": "house-chat", "api": "chat-completions", "price": price},
                    {"name": "house-embed", "api": "embeddings", "price": price},
                ],
            }
        )
    )


async def one_call(client: Session, kind: Kind, emulator: Emulator, findings: Findings) -> None:
    """Make a call, and compare its result with its kind."""
    findings.sent[kind] += 1
    params = {"name": kind.tool, "arguments": dict(kind.arguments)}
    if kind is CANCELLED:
        await give_up(client, params, emulator)
        return
    result = await client.request("tools/call", params)
    receipt, error = result["_meta"][RECEIPT_KEY], result["_meta"].get(ERROR_KEY)
    findings.expect(f"the code of {kind.arguments}", error and error["code"], kind.code)
    findings.expect(f"the attempts of {kind.arguments}", receipt["attempts"], kind.requests if kind.model else 0)
    if kind.model and receipt["usage"] and "estimated" not in receipt["usage"]:
        findings.tokens[kind.model] += receipt["usage"]["total_tokens"]


async def give_up(client: Session, params: Mapping[str, Any], emulator: Emulator) -> None:
    """Send a call, and cancel it when it has reached the upstream."""
    before = list(emulator.requests)
    number, _ = await client.begin("tools/call", params)
    request = await emulator.wait_for(lambda seen: _is_slow(seen) and seen not in before, 30)
    client.forget(number)
    await client.notify("notifications/cancelled", {"requestId": number})
    with anyio.fail_after(30):
        await request.wait_aborted()


def _is_slow(request: RecordedRequest) -> bool:
    return request.path.startswith("/demo/models/fault-slow")


async def many_calls(client: Session, plan: Iterator[Kind], emulator: Emulator, findings: Findings) -> None:
    """Make the calls of a plan, many of them at once."""
    cancelling = anyio.Lock()

    async def work() -> None:
        for kind in plan:
            if kind is CANCELLED:
                async with cancelling:
                    await one_call(client, kind, emulator, findings)
            else:
                await one_call(client, kind, emulator, findings)

    async with anyio.create_task_group() as group:
        for _ in range(CONCURRENCY):
            group.start_soon(work)


def planned(calls: int, chance: random.Random) -> Iterator[Kind]:
    """Return this many calls, the same for the same seed."""
    kinds = (*KINDS, CANCELLED)
    return iter(chance.choices(kinds, [kind.weight for kind in kinds], k=calls))


def compare(findings: Findings, emulator: CountingEmulator, transport: CountingTransport, ledger: Path) -> None:
    """Compare the ledger with the counts of the emulator and of the transport."""
    by_model: collections.Counter[str] = collections.Counter()
    requests: collections.Counter[str] = collections.Counter()
    failed: collections.Counter[str] = collections.Counter()
    for kind, count in findings.sent.items():
        if kind.model:
            by_model[kind.model] += count
            requests[kind.model] += count * kind.requests
            failed[kind.model] += count * bool(kind.code)
    findings.expect("the requests that the emulator counted", dict(emulator.counted), dict(requests))
    kept: dict[str, UsageTotals] = {}
    opened = Ledger(ledger)
    for day in opened.days("2000-01-01", ""):
        findings.expect(f"unsettled calls of {day.key}", day.unsettled, 0)
        kept[day.key[1]] = kept.get(day.key[1], UsageTotals()) + day.totals
    opened.close()
    findings.expect("the calls in the ledger", {name: figures.calls for name, figures in kept.items()}, dict(by_model))
    findings.expect(
        "the failures in the ledger",
        {name: figures.failed for name, figures in kept.items() if figures.failed},
        {name: count for name, count in failed.items() if count},
    )
    tokens = {name: figures.total_tokens for name, figures in kept.items() if name in transport.tokens}
    findings.expect("the tokens in the ledger", tokens, dict(transport.tokens))
    reported = {name: count for name, count in findings.tokens.items() if name in transport.tokens}
    findings.expect("the tokens in the receipts", reported, dict(transport.tokens))


def megabytes() -> float:
    """Return the memory of this process after it has released what it can."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def handles() -> int:
    """Return the number of open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a path object for each is one more handle


async def soak(calls: int, seed: int, folder: Path) -> Findings:
    """Make this many calls, the first of them as a warm-up, and return the findings."""
    findings, chance = Findings(), random.Random(seed)  # noqa: S311 - the same calls at each run
    emulator, transport, ledger = CountingEmulator(), CountingTransport(), folder / "ledger.sqlite3"
    opened, warm_up = handles(), min(WARM_UP, calls // 2)
    async with run_emulator(emulator=emulator):
        async with session(configured(emulator, ledger), transport) as client:
            await many_calls(client, planned(warm_up, chance), emulator, findings)
            before, objects = megabytes(), len(gc.get_objects())
            await many_calls(client, planned(calls - warm_up, chance), emulator, findings)
            after, grown = megabytes(), len(gc.get_objects()) - objects
            findings.expect("answers to nothing", client.unasked, [])
        await transport.aclose()
    compare(findings, emulator, transport, ledger)
    findings.expect("handles left open", handles() - opened, 0)
    print(f"memory {before:.1f} MB after the warm-up, {after:.1f} MB at the end; objects {grown:+,}")
    findings.limit("megabytes more than after the warm-up", after - before, MOST_GROWTH_MEGABYTES)
    findings.limit("objects more than after the warm-up", grown, MOST_GROWTH_OBJECTS)
    return findings


def main() -> int:
    """Run the soak test, print its results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"number of calls (default: {CALLS})")
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice of calls (default: 1)")
    options = parser.parse_args()
    begun = time.perf_counter()
    if sys.platform == "linux":
        # glibc spreads the allocations of threads over arenas and returns little of it: megabytes that are not leaked.
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)

    async def bounded(folder: Path) -> Findings:
        with anyio.fail_after(LONGEST_SECONDS):
            return await soak(options.calls, options.seed, folder)

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HOME": folder, "XDG_CACHE_HOME": folder, "XDG_STATE_HOME": folder}
        findings = anyio.run(bounded, Path(folder))
    print(f"{sum(findings.sent.values()):,} calls in {time.perf_counter() - begun:.0f} s, seed {options.seed}")
    for wrong in findings.wrong[:20]:
        print(f"WRONG {wrong}")
    return int(bool(findings.wrong))


if __name__ == "__main__":
    sys.exit(main())
