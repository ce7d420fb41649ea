"""Speech events (OpenAI API reference, "Create speech", `stream_format: "sse"`), of OpenAI and of Mistral."""

import base64

from blaxel_mcp.apis.streams.assembler import Assembler, text_in
from blaxel_mcp.core.json_text import JSONObject


class SpeechAssembler(Assembler):
    """Joins the pieces of a recording."""

    def __init__(self) -> None:
        super().__init__()
        self._audio = bytearray()
        self._top: JSONObject = {}

    @property
    def text(self) -> str:
        """Speech has no text."""
        return ""

    def value(self) -> JSONObject:
        """Return the whole recording in base64, with the usage."""
        return self._with_unknown({"audio": base64.b64encode(self._audio).decode("ascii"), **self._top})

    @staticmethod
    def recognizes(kind: str, data: JSONObject) -> bool:  # noqa: ARG004 - the kind says it all
        """Return whether an event is one of speech."""
        return kind.startswith("speech.")

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if kind == "speech.audio.delta":
            piece = text_in(data, "audio") or text_in(data, "audio_data")
            try:
                # Each piece is encoded by itself, so that padding may stand between two.
                self._audio += base64.b64decode(piece, validate=True)
            except ValueError:
                self.unreadable += 1
        elif kind == "speech.audio.done":
            self._top |= {name: value for name, value in data.items() if name not in ("type", "audio", "audio_data")}
            self.ended = True
        else:
            return False
        return True
