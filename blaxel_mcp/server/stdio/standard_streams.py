"""Claim stdin and stdout for protocol frames, and exit the process within a limited time.

From the claim on, file descriptor 1 is stderr and 0 is the null device. So nothing that a library prints, even at
exit, corrupts the protocol, and a command that fetches a key cannot read a frame.
"""

import logging
import os
import select
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_CLEANUP_SECONDS = 1.2
"""Time that in-flight calls have to close their connections: clients kill the process after two seconds.

It always runs out if a thread is waiting for input: nothing but another line wakes it.
"""

NOT_POLLABLE = -1
"""The value for a file, a terminal, or any stream on Windows, which a thread reads and writes."""

_INPUT_BYTES = _IN_PLACE_BYTES = 64 * 1024
"""The capacity of a pipe on Linux: the maximum read at once, and written without a thread."""


class StdioStreams:
    """The claimed standard streams, and the exit of the process.

    Attributes:
        exit_code: The exit code of the process.
        before_exit: Called, for a limited time, before the process exits.
        parent: The process id of the parent.
        pollable_input: The descriptor of the input if an event loop can wait for it, otherwise `NOT_POLLABLE`.
        stdin_is_terminal: Whether it comes from a terminal, where a person may have typed the command.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self.before_exit: Callable[[], None] = lambda: None
        self.parent = os.getppid()
        self._is_ending = threading.Event()
        self.stdin_is_terminal = os.isatty(0)
        stdin, stdout = os.dup(0), os.dup(1)
        if sys.platform != "win32":
            for descriptor in (stdin, stdout):
                # A parent may leave them non-blocking, as launchers written in JavaScript do; libuv clears that too.
                os.set_blocking(descriptor, True)
        os.dup2(2, 1)
        # Printed text is still in Python's buffer; this sends it to stderr.
        sys.stdout.flush()
        with Path(os.devnull).open("rb") as null:
            os.dup2(null.fileno(), 0)
        self._stdin, self._stdout = os.fdopen(stdin, "rb", buffering=0), os.fdopen(stdout, "wb", buffering=0)
        self.pollable_input = stdin if _is_pollable(stdin) else NOT_POLLABLE
        self._writable: select.poll | None = None
        if _is_pollable(stdout):
            self._writable = select.poll()
            self._writable.register(stdout, select.POLLOUT)
        self._writing = threading.Lock()
        self._has_begun = False

    def read_at_once(self) -> bytes | None:
        """Return the next bytes of the input, none at its end; None if there are none yet."""
        data = self._stdin.read(_INPUT_BYTES)
        if data == b"":
            self.start_shutdown_timer()
        return data

    def read(self) -> bytes:
        """Return the next bytes of the input, none at its end; it blocks until there are any. Raises OSError."""
        while (data := self.read_at_once()) is None:
            # Another process has made the descriptor non-blocking again.
            select.select([self._stdin], [], [])
        return data

    def begin_frame(self, frame: bytes) -> bytes:
        """Write a short frame as far as that does not block, and return the rest, which `write_frame` has to write.

        Call it while `write_frame` does not run.
        """
        rest = frame
        if self._writable is None or len(frame) > _IN_PLACE_BYTES or not self._writing.acquire(blocking=False):
            return frame
        # `write_frame` meets the same error, and raises it.
        with suppress(OSError):
            # Once poll reports a pipe, it takes so many bytes without blocking (POSIX, PIPE_BUF).
            while rest and self._writable.poll(0) == [(self._stdout.fileno(), select.POLLOUT)]:
                written = self._stdout.write(rest[: select.PIPE_BUF])
                if not written:
                    break
                rest = rest[written:]
        self._has_begun = bool(rest)
        if not rest:
            self._writing.release()
        return rest

    def write_frame(self, frame: bytes) -> None:
        """Write a frame, or the rest of a begun one; it blocks. Raises OSError if the client has closed the stream."""
        if not self._has_begun:
            self._writing.acquire()
        try:
            rest = memoryview(frame)
            while rest:
                written = self._stdout.write(rest)
                if written is None:
                    # Another process has made the descriptor non-blocking again.
                    select.select([], [self._stdout], [])
                else:
                    rest = rest[written:]
        except OSError:
            self.start_shutdown_timer()
            raise
        finally:
            self._has_begun = False
            self._writing.release()

    def start_shutdown_timer(self) -> None:
        """Exit the process when the time for cleaning up is over; a timer that runs already goes on."""
        if not self._is_ending.is_set():
            self._is_ending.set()
            timer = threading.Timer(_CLEANUP_SECONDS, self.exit)
            timer.daemon = True
            timer.start()

    def exit(self) -> NoReturn:
        """Exit the process with `exit_code`, after the frame that is being written if the client reads it in time.

        An ordinary exit would wait for a thread that reads or writes, which a signal does not wake.
        """
        self._writing.acquire(timeout=_CLEANUP_SECONDS / 3)
        last = threading.Thread(target=self.before_exit, daemon=True)
        last.start()
        last.join(_CLEANUP_SECONDS / 3)
        try:
            logging.shutdown()
            sys.stderr.flush()
        finally:
            # Even if stderr is closed.
            os._exit(self.exit_code)


def _is_pollable(descriptor: int) -> bool:
    """Return whether a descriptor is a pipe or a socket: for others, poll does not show whether they would block."""
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
