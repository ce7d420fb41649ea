"""How a process of ours ends: exit codes, and the signals that end it."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

import anyio


class ExitCode(IntEnum):
    """Exit codes of every command, as shells and scripts expect them."""

    OK = 0
    FAILED = 1
    """The request or a check failed."""
    USAGE = 2
    """The command line or the settings are wrong."""
    INTERRUPTED = 130
    """Ended by SIGINT."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that should end this process.

    A signal that was ignored when the process started stays ignored: `nohup` ignores SIGHUP so that the process
    outlives its terminal, and shells ignore SIGINT for background jobs. Windows has none of these signals.
    """
    if sys.platform == "win32":
        return ()
    candidates = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return tuple(number for number in candidates if signal.getsignal(number) != signal.SIG_IGN)


@asynccontextmanager
async def received_signals() -> AsyncIterator[AsyncIterator[signal.Signals]]:
    """Receive the ending signals, in place of their default actions, while the context lasts.

    The iterator yields one signal at a time; it never yields on Windows.
    """
    numbers = ending_signals()
    if not numbers:
        yield _never()
        return
    with anyio.open_signal_receiver(*numbers) as signals:
        yield signals


async def _never() -> AsyncIterator[signal.Signals]:
    await anyio.sleep_forever()
    yield signal.SIGTERM


def exit_code_after(received: signal.Signals) -> ExitCode:
    """Return the exit code of a process that a signal ended in good order."""
    return ExitCode.INTERRUPTED if received == signal.SIGINT else ExitCode.OK
