"""The requests that an emulated platform has received."""

from dataclasses import dataclass, field

import anyio


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request as it was received.

    Args:
        request_id: The `x-cf-request-id` that its response carries.
        method: The HTTP method.
        path: The decoded path.
        raw_path: Path and query as sent.
        headers: Lower-case names and values in the order sent, duplicates included.
        body: The body, up to the number of bytes that the emulator accepts.
        oversized: Whether the body was longer than the emulator accepts.
    """

    request_id: str
    method: str
    path: str
    raw_path: bytes
    headers: list[tuple[str, str]]
    body: bytes = b""
    oversized: bool = False
    _disconnected: anyio.Event = field(default_factory=anyio.Event, repr=False)

    @property
    def aborted(self) -> bool:
        """Whether the caller disconnected before the answer was complete."""
        return self._disconnected.is_set()

    async def wait_aborted(self) -> None:
        """Wait until the caller disconnects before the answer is complete."""
        await self._disconnected.wait()

    def mark_aborted(self) -> None:
        """Record that the caller disconnected."""
        self._disconnected.set()

    def header_values(self, name: str) -> list[str]:
        """Return every value of a header, given its lower-case name."""
        return [value for key, value in self.headers if key == name]
