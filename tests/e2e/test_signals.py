"""The signals that end a process, as a process of its own receives them."""

import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from blaxel_mcp.core.process import ExitCode, exit_code_after

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot receive these signals")

LISTING = "import blaxel_mcp.core.process as process; print(*(number.name for number in process.ending_signals()))"

RECEIVING = """
import sys
import anyio
from blaxel_mcp.core.process import exit_code_after, received_signals

async def main():
    with received_signals() as signals:
        print("ready", flush=True)
        received = await anext(signals)
        print(received.name, flush=True)
        return exit_code_after(received)

sys.exit(anyio.run(main))
"""

RETURNING = """
import signal
import anyio
from blaxel_mcp.core.process import received_signals

async def main():
    with received_signals():
        pass
    print("ready", flush=True)
    await anyio.sleep(20)

anyio.run(main)
"""

WAITING = """
import anyio
from blaxel_mcp.core.process import ending_signals, received_signals

async def main():
    with received_signals() as signals:
        with anyio.move_on_after(0.1) as scope:
            await anext(signals)
        print(len(ending_signals()), scope.cancelled_caught)

anyio.run(main)
"""


def started(code: str, *, ignored: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start Python with all ending signals at their default action but those to ignore."""
    settings = "".join(
        f"signal.signal(signal.{name}, signal.{'SIG_IGN' if name in ignored else 'SIG_DFL'}); "
        for name in ("SIGTERM", "SIGINT", "SIGHUP")
    )
    # What is ignored stays ignored across `exec`, as it does below `nohup` and in a shell's background job.
    launcher = f"import os, signal, sys; {settings}os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return subprocess.Popen([sys.executable, "-c", launcher, "-c", code], stdout=subprocess.PIPE, text=True)


def output(code: str, *, ignored: Sequence[str] = ()) -> str:
    with started(code, ignored=ignored) as process:
        return process.communicate(timeout=20)[0]


@pytest.mark.parametrize(
    ("ignored", "ending"),
    [
        pytest.param([], "SIGTERM SIGINT SIGHUP", id="a terminal"),
        pytest.param(["SIGHUP"], "SIGTERM SIGINT", id="nohup"),
        pytest.param(["SIGINT"], "SIGTERM SIGHUP", id="a background job"),
        pytest.param(["SIGTERM", "SIGINT", "SIGHUP"], "", id="all ignored"),
    ],
)
def test_a_signal_that_was_ignored_at_the_start_ends_nothing(ignored: list[str], ending: str) -> None:
    assert output(LISTING, ignored=ignored) == f"{ending}\n"


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        pytest.param(signal.SIGTERM, ExitCode.OK, id="SIGTERM"),
        pytest.param(signal.SIGINT, ExitCode.INTERRUPTED, id="SIGINT"),
        pytest.param(signal.SIGHUP, ExitCode.OK, id="SIGHUP"),
    ],
)
def test_a_signal_is_received_and_gives_the_exit_code(number: signal.Signals, exit_code: int) -> None:
    with started(RECEIVING) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=20)[0] == f"{number.name}\n"

    assert process.returncode == exit_code == exit_code_after(number)


def test_an_ignored_signal_is_not_received_and_the_next_one_is() -> None:
    with started(RECEIVING, ignored=["SIGINT"]) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == "SIGTERM\n"

    assert process.returncode == ExitCode.OK


def test_after_the_context_a_signal_has_its_default_action_again() -> None:
    with started(RETURNING) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)

    assert process.returncode == -signal.SIGTERM


def test_with_every_signal_ignored_nothing_is_received() -> None:
    assert output(WAITING, ignored=["SIGTERM", "SIGINT", "SIGHUP"]) == "0 True\n"
