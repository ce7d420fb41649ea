"""Claim stdin and stdout for protocol frames, and exit the process within a limited time.

From the claim on, file descriptor 1 is stderr and 0 is the null device. So nothing that a library prints, even at
exit, corrupts the protocol, and a command that fetches a key cannot read a frame.
"""

import io
import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio

if TYPE_CHECKING:
    # In the standard library since Python 3.12.
    from typing_extensions import Buffer

_CLEANUP_SECONDS = 1.2
"""Time that in-flight calls have to close their connections: clients kill the process after two seconds.

It always runs out if the SDK's reading thread is waiting for input: nothing but another line wakes it.
"""

_INPUT_BUFFER_BYTES = 64 * 1024


class StdioStreams:
    """The claimed standard streams, and the exit of the process.

    Attributes:
        exit_code: The exit code of the process.
        parent: The process id of the parent.
        stdin: The stream of incoming frames.
        written: Set when all frames have been written.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self.parent = os.getppid()
        self.written = anyio.Event()
        self._is_ending = threading.Event()
        stdin, stdout = os.dup(0), os.dup(1)
        if sys.platform != "win32":
            for descriptor in (stdin, stdout):
                # A parent may leave them non-blocking, as launchers written in JavaScript do; libuv clears that too.
                os.set_blocking(descriptor, True)
        os.dup2(2, 1)
        # What has been printed so far is in Python's buffer; this sends it to stderr.
        sys.stdout.flush()
        with Path(os.devnull).open("rb") as null:
            os.dup2(null.fileno(), 0)
        self.stdin = io.BufferedReader(_WatchedInput(stdin, self.start_shutdown_timer), _INPUT_BUFFER_BYTES)
        self._stdout = os.fdopen(stdout, "wb", buffering=0)
        self._writing = threading.Lock()

    def write_frame(self, text: str) -> None:
        """Write one frame. It blocks until the client reads.

        Raises:
            OSError: the client has closed the stream.
        """
        with self._writing:
            try:
                # Half of a surrogate pair has no bytes; a frame with a replacement character is better than none.
                rest = memoryview(text.encode("utf-8", "replace") + b"\n")
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

    def start_shutdown_timer(self) -> None:
        """Exit the process when the time for cleaning up is over; a timer that runs already goes on."""
        if not self._is_ending.is_set():
            self._is_ending.set()
            timer = threading.Timer(_CLEANUP_SECONDS, self.exit)
            timer.daemon = True
            timer.start()

    def exit(self) -> NoReturn:
        """Exit the process with `exit_code`, after the frame that is being written if the client reads it in time.

        An ordinary exit would wait for the SDK's reading thread, which a signal does not wake.
        """
        self._writing.acquire(timeout=_CLEANUP_SECONDS / 3)
        try:
            logging.shutdown()
            sys.stderr.flush()
        finally:
            # Even if nobody reads stderr any more.
            os._exit(self.exit_code)


class _WatchedInput(io.FileIO):
    """A file that calls a function when it has been read to its end."""

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        super().__init__(descriptor, "rb")
        self._on_end = on_end

    def readinto(self, buffer: "Buffer", /) -> int | None:
        while (count := super().readinto(buffer)) is None:
            # Another process has made the descriptor non-blocking again.
            select.select([self], [], [])
        if count == 0:
            self._on_end()
        return count
