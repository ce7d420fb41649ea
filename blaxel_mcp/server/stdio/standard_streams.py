"""The process's standard streams, claimed for frames alone, and the way out of the process.

From the claim on, descriptor 1 leads to stderr and descriptor 0 to nothing, for good: what a
library prints, even in its last breath, is not taken for a frame, and a command that fetches a
key does not eat one.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio

if TYPE_CHECKING:
    # Python has it since 3.12.
    from typing_extensions import Buffer

_CLEANUP_SECONDS = 1.2
"""How long calls in flight may take to let go of their connections: clients kill after two seconds.

The time also runs out for the SDK's reading thread, which nothing but another line of input wakes.
"""


_INPUT_BUFFER = 64 * 1024


class Wire:
    """Both ends of the wire, claimed for frames alone, and the way out of the process.

    Attributes:
        exit_code: What the process ends with.
        parent: The id of the process that started this one.
        stdin: Where frames come from.
        written: Is set once no more frames are to be written.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self.parent = os.getppid()
        self.written = anyio.Event()
        self._ending = threading.Event()
        reading, writing = os.dup(0), os.dup(1)
        os.dup2(2, 1)
        # What was printed up to now is in Python's buffer, and leaves it for stderr.
        sys.stdout.flush()
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        self.stdin = io.BufferedReader(_WatchedInput(reading, self.end_soon), _INPUT_BUFFER)
        self._output = os.fdopen(writing, "wb")
        self._writing = threading.Lock()

    def write_frame(self, text: str) -> None:
        """Write one frame, whole. It blocks as long as the client does not read.

        Raises:
            OSError: nobody reads any more.
        """
        with self._writing:
            try:
                # Half a surrogate pair has no bytes; a frame with a mark in its place beats none at all.
                self._output.write(text.encode("utf-8", "replace") + b"\n")
                self._output.flush()
            except OSError:
                self.end_soon()
                raise

    def end_soon(self) -> None:
        """Give the cleaning up a limited time from now on."""
        if not self._ending.is_set():
            self._ending.set()
            timer = threading.Timer(_CLEANUP_SECONDS, self.leave)
            timer.daemon = True
            timer.start()

    def leave(self) -> NoReturn:
        """End the process, with the frame that is being written written, if the client reads it in time.

        An ordinary exit would wait for the SDK's reading thread, which a signal does not wake.
        """
        self._writing.acquire(timeout=_CLEANUP_SECONDS / 3)
        logging.shutdown()
        sys.stderr.flush()
        os._exit(self.exit_code)


class _WatchedInput(io.FileIO):
    """Standard input that tells when it has ended."""

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        super().__init__(descriptor, "rb")
        self._on_end = on_end

    def readinto(self, buffer: "Buffer", /) -> int | None:
        count = super().readinto(buffer)
        if count == 0:
            self._on_end()
        return count
