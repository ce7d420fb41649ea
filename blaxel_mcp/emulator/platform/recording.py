"""What is kept of every request as it came over the wire."""

from dataclasses import dataclass, field

import anyio


@dataclass(slots=True, eq=False)
class RecordedRequest:
    """One request as it came over the wire.

    Args:
        request_id: The `x-cf-request-id` that its response carries.
        method: The HTTP method.
        path: The decoded path.
        raw_path: Path and query as sent.
        headers: Lower-case names and values in the order sent, so that a duplicate shows.
        body: The body, at most as much of it as the emulator accepts.
        oversized: Whether the body was longer than the emulator accepts.
    """

    request_id: str
    method: str
    path: str
    raw_path: bytes
    headers: list[tuple[str, str]]
    body: bytes = b""
    oversized: bool = False
    _gone: anyio.Event = field(default_factory=anyio.Event, repr=False)

    @property
    def aborted(self) -> bool:
        """Whether the caller went away before the answer was complete."""
        return self._gone.is_set()

    async def wait_aborted(self) -> None:
        """Return once the caller has gone away before the answer was complete."""
        await self._gone.wait()

    def mark_aborted(self) -> None:
        """Note that the caller has gone away."""
        self._gone.set()

    def header_values(self, name: str) -> list[str]:
        """Return every value that was sent under a lower-case header name."""
        return [value for key, value in self.headers if key == name]
