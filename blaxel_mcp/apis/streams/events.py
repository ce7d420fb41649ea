"""What an event stream is made of, whichever way it is written down."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from blaxel_mcp.core.exceptions import UpstreamError

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""The longest event that is taken: the limit that Blaxel's own command line sets (toolkit, cli/core/sse.go)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, `message` where the stream gives none, and its data as text."""

    name: str
    data: str


class EventDecoder(ABC):
    """Takes a stream's bytes as they come, in chunks cut anywhere, and gives back its events."""

    unfinished: bool = False
    """Whether the stream ended inside an event, which is then left out; known after `finish`."""

    @abstractmethod
    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk and return the events that it completes.

        Raises:
            UpstreamError: `bad_response`: an event is longer than `MAX_EVENT_BYTES`.
        """

    @abstractmethod
    def finish(self) -> list[Event]:
        """Take the end of the stream and return the event that it completes, if there is one."""


def check_event_size(size: int) -> None:
    """Refuse an event of so many bytes, as far as it has come.

    Raises:
        UpstreamError: `bad_response`: it is longer than `MAX_EVENT_BYTES`.
    """
    if size > MAX_EVENT_BYTES:
        raise UpstreamError(
            f"The endpoint's event stream holds an event of more than {MAX_EVENT_BYTES} bytes; the rest was not read.",
            code="bad_response",
            origin="provider",
            hint="The call was paid for. Ask for the answer without a stream, or for less of it.",
            billed="yes",
        )
