"""Transcription events of OpenAI (API reference, "Create transcription", streaming) and of Mistral."""

from blaxel_mcp.apis.streams.assembler import Assembler, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer, finalize
from blaxel_mcp.core.json_text import JSONObject

_PREFIXES = ("transcript.", "transcription.")


class TranscriptionsAssembler(Assembler):
    """Assembles the events of a transcription; the last one holds the whole text."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: JSONObject = {}
        self._segments: list[JSONObject] = []
        self._text = TextBuffer()
        self._has_deltas = False

    @property
    def text(self) -> str:
        """The text received so far."""
        return str(self._text)

    def value(self) -> JSONObject:
        """Return the transcription; diarized ones have `segments`."""
        segments = {"segments": self._segments} if self._segments else {}
        return finalize(self._with_unknown({"text": str(self._text), **segments, **self._answer}))

    @staticmethod
    def recognizes(kind: str, data: JSONObject) -> bool:  # noqa: ARG004 - the kind says it all
        """Return whether an event is one of a transcription."""
        return kind.startswith(_PREFIXES)

    def _apply(self, kind: str, data: JSONObject) -> bool:
        subject = kind.partition(".")[2]
        if subject == "text.delta":
            self._has_deltas = True
            self._append(text_in(data, "delta") or text_in(data, "text"))
        elif subject in ("text.segment", "segment"):
            self._segments.append(data if kind.startswith("transcript.") else _without_type(data))
            if not self._has_deltas:
                self._append(text_in(data, "text"))
        elif subject in ("text.done", "done"):
            fields = _without_type(data)
            # Of a diarized transcription, the last event may have no segments, or an empty list.
            self._answer |= {name: value for name, value in fields.items() if name != "segments" or value}
            self.ended = True
        elif subject == "language":
            self._answer["language"] = data.get("audio_language", data.get("language"))
        else:
            return False
        return True

    def _append(self, piece: str) -> None:
        self._text.append(piece)
        self.characters += len(piece)


def _without_type(data: JSONObject) -> JSONObject:
    return {name: value for name, value in data.items() if name != "type"}
