"""The progress of one call: the text received so far, and why the call waits."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True)
class Progress:
    """The progress of a call that a waiting client can be shown.

    Attributes:
        wanted: Whether the client asked for progress notifications.
        source: Returns the text of the answer so far.
        status: Why the call waits, as a sentence; empty while it does not.
        listener: Called with the text so far, each time it has grown.
    """

    wanted: bool = False
    source: Callable[[], str] = str
    status: str = ""
    listener: Callable[[str], None] | None = None
    _changed: anyio.Event | None = field(default=None, init=False)

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return self.source()

    def set_status(self, status: str) -> None:
        """Store why the call waits; an empty status clears it."""
        if status != self.status:
            self.status = status
            if status:
                self.notify()

    async def wait(self) -> None:
        """Wait for news that should not wait for the next interval."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def notify(self) -> None:
        """Wake the tasks that report progress."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
