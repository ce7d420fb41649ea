"""Transcription events of OpenAI (API reference, "Create transcription", streaming) and of Mistral."""

from blaxel_mcp.apis.streams.assembler import Assembler, text_in
from blaxel_mcp.core.json_text import JSONObject


class TranscriptionsAssembler(Assembler):
    """Assembles the events of a transcription; the last one holds the whole text."""

    api = "transcriptions"
    path_ends = ("/audio/transcriptions",)
    kind_prefixes = ("transcript.", "transcription.")

    def __init__(self) -> None:
        super().__init__()
        self._answer["text"] = ""
        self._segments: list[JSONObject] = []
        self._has_deltas = False

    def _built(self) -> JSONObject:
        return {**({"segments": self._segments} if self._segments else {}), **self._answer}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        fields = {name: value for name, value in data.items() if name != "type"}
        match kind.partition(".")[2]:
            case "text.delta":
                self._has_deltas = True
                self._append(self._answer, "text", text_in(data, "delta") or text_in(data, "text"))
            case "text.segment" | "segment":
                self._segments.append(data if kind.startswith("transcript.") else fields)
                if not self._has_deltas:
                    self._append(self._answer, "text", text_in(data, "text"))
            case "text.done" | "done":
                # Of a diarized transcription, the last event may have no segments, or an empty list.
                self._set({name: value for name, value in fields.items() if name != "segments" or value})
                self.ended = True
            case "language":
                self._answer["language"] = data.get("audio_language", data.get("language"))
            case _:
                return False
        return True
