"""Streams in an unknown format, kept event by event."""

from typing import Any

from blaxel_mcp.apis.reported_errors import reported_error
from blaxel_mcp.apis.streams.assembler import Assembler, object_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer
from blaxel_mcp.core.json_text import JSONObject

_TEXT_FIELDS = ("content", "text", "message", "response", "delta")
"""The first three are where `bl run` looks for text (Blaxel's toolkit, cli/core/sse.go), then Ollama's and OpenAI's."""

_LAST_FLAGS = ("stop", "done", "is_finished")
"""Flags of the last event: llama.cpp's, Ollama's and Cohere's."""


class GenericAssembler(Assembler):
    """Keeps the data of each event, as JSON if it is JSON, otherwise as text.

    An unknown format has no known end marker, so such a stream is complete when it ends, unless its events say that
    they are not the last one.
    """

    announces_end = False

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Any] = []
        self._text = TextBuffer()
        self._is_last = False

    def _is_complete(self) -> bool:
        return self._is_last

    def _text_so_far(self) -> str:
        return str(self._text)

    def _built(self) -> JSONObject:
        return {"events": self._events}

    def _keep(self, data: Any) -> None:
        self._events.append(data)

    def _apply(self, kind: str, data: JSONObject) -> bool:  # noqa: ARG002 - no kind of event is known
        if error := reported_error(data, is_known=False):
            self.record_error(error.get("error") or error)
        self._keep(data)
        # Hugging Face's text-generation-inference has a token in each event, Ollama a message.
        holders = (data, object_in(data, "token"), object_in(data, "message"))
        texts = (text for holder in holders for name in _TEXT_FIELDS if (text := text_in(holder, name)))
        piece = next(texts, "")
        self._text.append(piece)
        self.characters += len(piece)
        if (is_last := _is_last(data)) is not None:
            self.announces_end, self._is_last = True, is_last
        return True


def _is_last(data: JSONObject) -> bool | None:
    """Return whether an event is the last one; None if it does not say."""
    if "token" in data and "generated_text" in data:
        # Hugging Face's text-generation-inference sends the whole text with the last token.
        return data["generated_text"] is not None
    return next((data[name] for name in _LAST_FLAGS if isinstance(data.get(name), bool)), None)
