"""How a command ends: exit codes, the signals that end it, and the death of its parent."""

import codecs
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
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


def open_missing_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket would get its number, and printed text would go there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - its only form
    # Python has no such stream for a descriptor that was closed when it started.
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - never closed


def escape_unencodable() -> None:
    """Let stdout and stderr print any text in any encoding.

    A character that it does not have is printed as JSON escapes it, so that JSON stays JSON.
    """

    def escaped(error: UnicodeError) -> tuple[str | bytes, int]:
        assert isinstance(error, UnicodeEncodeError)
        return json.dumps(error.object[error.start : error.end])[1:-1], error.end

    codecs.register_error("json-escapes", escaped)
    for stream in (sys.stdout, sys.stderr):
        # It may have replaced what was closed, and its descriptor may lead elsewhere by now.
        with suppress(OSError):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="json-escapes")


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


def received_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """Return a context in which the ending signals are received, in the main thread, instead of ending the process.

    Its value is an iterator over the signals, in the order of arrival. It waits forever when `ending_signals` is empty.
    """
    return anyio.open_signal_receiver(*ending_signals())


def exit_code_after(received: signal.Signals) -> ExitCode:
    """Return a server's exit code after a signal and an orderly shutdown.

    SIGINT gives `INTERRUPTED`. SIGTERM and SIGHUP give `OK`: service managers stop a service with them.
    """
    return ExitCode.INTERRUPTED if received == signal.SIGINT else ExitCode.OK


_PARENT_POLL_SECONDS = 0.5
"""Interval between two checks of the parent: short against the two seconds in which a server ends."""

_INIT = 1
"""PID 1. A process whose parent it is has been orphaned already, or was started by it."""


async def wait_until_orphaned(parent: int) -> None:
    """Return when the parent process has died; never on Windows, where that does not show, nor below PID 1.

    No one reads the answers after it. The end of input shows it too, unless another process holds the writing end of
    the pipe.

    Args:
        parent: The parent's process id when this process started. On POSIX, an orphan gets another parent.
    """
    if sys.platform == "win32" or parent <= _INIT:
        await anyio.sleep_forever()
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing else reports it
        await anyio.sleep(_PARENT_POLL_SECONDS)
