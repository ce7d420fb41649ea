"""Events of a stream, and the interface of the decoders for each encoding of them."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from blaxel_mcp.core.exceptions import UpstreamError

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""Maximum size of one event: the limit of Blaxel's own command line (toolkit, cli/core/sse.go)."""


class Event(NamedTuple):
    """One event: its name, which is `message` if the stream sets none, and its data as text."""

    name: str
    data: str


class EventDecoder(ABC):
    """Decodes a stream's bytes, in chunks split anywhere, into events."""

    unfinished: bool = False
    """Whether the stream ended inside an event, which is dropped; known after `finish`."""

    @staticmethod
    @abstractmethod
    def begins_with(first: bytes) -> bool:
        """Return whether a stream in this encoding may begin with a byte that is no white space."""

    @abstractmethod
    def feed(self, chunk: bytes) -> list[Event]:
        """Decode the next chunk and return the events that it completes.

        Raises:
            UpstreamError: `bad_response`: an event is longer than `MAX_EVENT_BYTES`.
        """

    @abstractmethod
    def finish(self) -> list[Event]:
        """Decode the end of the stream and return the event that it completes, if any."""


def check_event_size(size: int) -> None:
    """Reject an event of which `size` bytes have arrived.

    Raises:
        UpstreamError: `bad_response`: it is longer than `MAX_EVENT_BYTES`.
    """
    if size > MAX_EVENT_BYTES:
        raise UpstreamError(
            f"The endpoint's event stream holds an event of more than {MAX_EVENT_BYTES} bytes; the rest was not read.",
            code="bad_response",
            origin="provider",
            hint="The call was billed. Request the answer without a stream, or a shorter one.",
            billed="yes",
        )
