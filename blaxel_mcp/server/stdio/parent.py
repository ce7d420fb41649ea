"""The process that started this one, watched: when it dies, nobody is left to answer.

End of input says the same, but does not come while some other process holds the pipe's writing end.
"""

import os
import sys
from collections.abc import Awaitable, Callable

import anyio

POLL_SECONDS = 0.5
"""How often the parent is looked at: a client's death is noticed well within the two seconds of an ending."""

_INIT = 1
"""Who takes over the orphans; whoever is its child already has lost its parent, or is meant to be without one."""


async def wait_until_orphaned(
    parent: int,
    *,
    getppid: Callable[[], int] = os.getppid,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Return once the parent is gone; never where that cannot be told.

    Args:
        parent: Its process id at our start.
        getppid: The process id of the parent there is now; on POSIX an orphan gets another one.
        sleep: Waits for the given number of seconds.
    """
    if sys.platform == "win32" or parent <= _INIT:
        await anyio.sleep_forever()
    while getppid() == parent:
        await sleep(POLL_SECONDS)
