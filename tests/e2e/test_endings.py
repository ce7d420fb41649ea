"""However a process ends, the ledger settles its call in flight as maybe billed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing

import anyio
import anyio.abc
import pytest

from blaxel_mcp.budget.figures import UsageTotals
from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.emulator import Emulator
from tests.support.connecting import is_slow_call
from tests.support.processes import ENDING_SECONDS, SERVE, SERVE_AS_A_CHILD, frame, hello, started, variables

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors are POSIX's here"),
]

SLOW_CALL = frame("tools/call", 2, name="run_model", arguments={"model": "fault-slow-30s", "data": {"inputs": "x"}})

Ending = Callable[[anyio.abc.Process], Awaitable[None]]


async def end_of_input(process: anyio.abc.Process) -> None:
    assert process.stdin
    await process.stdin.aclose()


def signalled(number: signal.Signals) -> Ending:
    async def send(process: anyio.abc.Process) -> None:
        process.send_signal(number)

    return send


async def settled() -> tuple[UsageTotals, int]:
    """Return the ledger's totals of the called model, and the number of its open calls."""
    ledger = Ledger(default_ledger())
    try:
        (found,) = await anyio.to_thread.run_sync(ledger.days, "", "")
    finally:
        ledger.close()
    return found.totals, found.unsettled


def is_told_as_perhaps_billed(figures: UsageTotals, unsettled: int) -> None:
    counted = (figures.calls, figures.failed, figures.failed_maybe_billed, unsettled)
    assert counted == (1, 1, 1, 0)
    assert figures.held_tokens > 0


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(end_of_input, id="end of input"),
        pytest.param(signalled(signal.SIGTERM), id="SIGTERM"),
        pytest.param(signalled(signal.SIGINT), id="SIGINT"),
        pytest.param(signalled(signal.SIGHUP), id="SIGHUP"),
    ],
)
async def test_the_call_in_flight_is_settled_when_the_server_is_ended(emulator: Emulator, end: Ending) -> None:
    async with started(SERVE, variables(emulator)) as process:
        assert process.stdin
        await process.stdin.send(hello() + SLOW_CALL)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        await end(process)
        with anyio.fail_after(ENDING_SECONDS):
            await process.wait()
            await request.wait_aborted()

    is_told_as_perhaps_billed(*await settled())


async def test_the_call_in_flight_is_settled_when_the_client_closes_stdout(emulator: Emulator) -> None:
    reading, writing = os.pipe()
    async with started(SERVE, variables(emulator), stdout=writing) as process:
        assert process.stdin
        os.close(writing)
        await process.stdin.send(hello() + SLOW_CALL)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        os.close(reading)
        await process.stdin.send(frame("ping", 3))
        with anyio.fail_after(ENDING_SECONDS):
            await process.wait()
            await request.wait_aborted()

    is_told_as_perhaps_billed(*await settled())


async def test_the_call_in_flight_is_settled_when_the_parent_has_died(emulator: Emulator) -> None:
    async with started(SERVE_AS_A_CHILD, variables(emulator), stderr=subprocess.DEVNULL) as parent:
        assert parent.stdin
        assert parent.stdout
        await parent.stdin.send(hello() + SLOW_CALL)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        parent.kill()
        with anyio.fail_after(ENDING_SECONDS):
            await request.wait_aborted()
            # The server has the only writing end of the pipe, so the pipe ends with it.
            async for _ in parent.stdout:
                pass

    is_told_as_perhaps_billed(*await settled())


RUN = [sys.executable, "-m", "blaxel_mcp", "run", "fault-slow-30s", "--data", "{}"]

INTERRUPTED = b"note: interrupted before the answer was complete; the call may have been billed\n"


def ignoring(*signals: str) -> list[str]:
    """Return the beginning of a command that starts the rest with these signals ignored."""
    return ["sh", "-c", f"trap '' {' '.join(signals)}; exec \"$@\"", "sh"]


@pytest.mark.parametrize(
    ("start", "number"),
    [
        pytest.param([], signal.SIGINT, id="foreground, SIGINT"),
        pytest.param([], signal.SIGTERM, id="foreground, SIGTERM"),
        pytest.param([], signal.SIGHUP, id="foreground, SIGHUP"),
        pytest.param(ignoring("INT"), signal.SIGTERM, id="background job of a script, SIGTERM"),
        pytest.param(ignoring("INT"), signal.SIGHUP, id="background job of a script, SIGHUP"),
        pytest.param(ignoring("HUP"), signal.SIGTERM, id="nohup, SIGTERM"),
        pytest.param(ignoring("INT", "HUP"), signal.SIGTERM, id="nohup in the background, SIGTERM"),
    ],
)
async def test_an_interrupted_run_command_settles_its_call_and_says_that_it_may_have_been_billed(
    emulator: Emulator, start: list[str], number: signal.Signals
) -> None:
    command = [*start, *RUN]
    async with started(command, variables(emulator), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        process.send_signal(number)
        with anyio.fail_after(ENDING_SECONDS):
            written = b"".join([chunk async for chunk in process.stderr])
            assert await process.wait() == 130
            await request.wait_aborted()

    assert written == INTERRUPTED
    is_told_as_perhaps_billed(*await settled())


async def test_a_signal_that_was_ignored_when_the_command_started_does_not_end_the_call(emulator: Emulator) -> None:
    command = [*ignoring("INT", "HUP"), *RUN[:-3], "fault-slow-1s", *RUN[-2:]]
    async with started(command, variables(emulator), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        await emulator.wait_for(is_slow_call, timeout_seconds=20)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        with anyio.fail_after(20):
            written = b"".join([chunk async for chunk in process.stderr])
            assert await process.wait() == 0

    assert written == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_second_signal_ends_the_command_at_once(emulator: Emulator, number: signal.Signals) -> None:
    async with started(RUN, variables(emulator), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        with closing(sqlite3.connect(default_ledger(), isolation_level=None)) as ledger:
            # While another process writes, the command cannot settle the call, and waits.
            ledger.execute("BEGIN EXCLUSIVE")
            process.send_signal(number)
            with anyio.fail_after(ENDING_SECONDS):
                await request.wait_aborted()
                process.send_signal(number)
                assert await process.wait() == -number
