"""Detects the death of the parent process: no one reads the answers after it.

The end of input shows it too, unless another process holds the writing end of the pipe.
"""

import os
import sys

import anyio

POLL_SECONDS = 0.5
"""Interval between two checks: short against the two seconds in which the server ends."""

_INIT = 1
"""PID 1. A process whose parent it is has been orphaned already, or was started by it."""


async def wait_until_orphaned(parent: int) -> None:
    """Return when the parent process has died; never on Windows, where that does not show, nor below PID 1.

    Args:
        parent: The parent's process id when this process started. On POSIX, an orphan gets another parent.
    """
    if sys.platform == "win32" or parent <= _INIT:
        await anyio.sleep_forever()
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing else reports it
        await anyio.sleep(POLL_SECONDS)
