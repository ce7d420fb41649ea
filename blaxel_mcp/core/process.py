"""How a command ends: exit codes, and the signals that end it."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

import anyio


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    """The request or a check failed."""
    USAGE = 2
    """The command line or the settings are wrong."""
    INTERRUPTED = 130
    """A signal ended the command before it was done; 128 + SIGINT, as shells report it."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process: SIGTERM, SIGINT and SIGHUP, without those that it ignores.

    Call this before installing a handler: a signal that was ignored when the process started has to stay ignored.
    `nohup` ignores SIGHUP so that the process outlives its terminal, and shells ignore SIGINT for background jobs.
    On Windows, the event loop cannot receive signals and the result is empty.
    """
    if sys.platform == "win32":
        return ()
    candidates = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return tuple(candidate for candidate in candidates if signal.getsignal(candidate) != signal.SIG_IGN)


@asynccontextmanager
async def received_signals() -> AsyncIterator[AsyncIterator[signal.Signals]]:
    """Receive the ending signals instead of being ended by them, while the context lasts.

    Only the main thread can enter it. Afterwards the signals have their default actions again.

    Yields:
        An iterator over the signals, in the order of arrival. It waits for ever when `ending_signals` is empty.
    """
    with anyio.open_signal_receiver(*ending_signals()) as signals:
        yield signals


def exit_code_after(received: signal.Signals) -> ExitCode:
    """Return a server's exit code after a signal and an orderly shutdown.

    SIGINT gives `INTERRUPTED`. SIGTERM and SIGHUP give `OK`: service managers stop a service with them.
    """
    return ExitCode.INTERRUPTED if received == signal.SIGINT else ExitCode.OK
