"""A stream in a format that is not known, kept event by event."""

from collections.abc import Iterator
from typing import Any

from blaxel_mcp.apis.streams.assembler import DONE, Assembler, bounded_json, object_in, text_in
from blaxel_mcp.apis.streams.deltas import Fragments, settled
from blaxel_mcp.apis.streams.events import Event
from blaxel_mcp.core.json_text import JSONObject

_TEXT_NAMES = ("content", "text", "message", "response", "delta")
"""The first three are where `bl run` looks for text (Blaxel's toolkit, cli/core/sse.go), then Ollama's and OpenAI's."""


class GenericEvents(Assembler):
    """Keeps the data of each event: as the JSON that it is, else as text.

    Nothing that is known of such a stream tells that it is at its end, other than that it ends.
    """

    announces_end = False

    def __init__(self) -> None:
        self._events: list[Any] = []
        self._text = Fragments()

    @property
    def text(self) -> str:
        """The pieces of text in the events, as far as they are where such pieces usually are."""
        return str(self._text)

    def value(self) -> JSONObject:
        """An object with the array `events`."""
        value: JSONObject = settled({"events": self._events})
        return value

    def feed(self, event: Event) -> None:
        """Take the next event, and keep also what is no object."""
        data = event.data.strip()
        if not data.startswith("{") and data not in ("", DONE):
            self._events.append(_value(data))
        super().feed(event)

    def _take(self, kind: str, data: JSONObject) -> None:  # noqa: ARG002 - whatever the event is called
        self._events.append(data)
        piece = next(_texts(data), "")
        self._text.append(piece)
        self.characters += len(piece)


def _value(data: str) -> Any:
    try:
        return bounded_json(data)
    except ValueError:
        return data


def _texts(data: JSONObject) -> Iterator[str]:
    # Hugging Face's text-generation-inference has a token in each event, Ollama a message.
    for holder in (data, object_in(data, "token"), object_in(data, "message")):
        yield from (text for name in _TEXT_NAMES if (text := text_in(holder, name)))
