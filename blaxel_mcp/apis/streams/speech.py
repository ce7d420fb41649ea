"""Speech events (OpenAI API reference, "Create speech", `stream_format: "sse"`), of OpenAI and of Mistral."""

import base64

from blaxel_mcp.apis.streams.assembler import Assembler, text_in
from blaxel_mcp.core.json_text import JSONObject


class SpeechAssembler(Assembler):
    """Joins the pieces of a recording."""

    api = "speech"
    path_ends = ("/audio/speech",)
    kind_prefixes = ("speech.",)

    def __init__(self) -> None:
        super().__init__()
        self._audio = bytearray()

    def _built(self) -> JSONObject:
        return {"audio": base64.b64encode(self._audio).decode("ascii"), **self._answer}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if kind == "speech.audio.delta":
            piece = text_in(data, "audio") or text_in(data, "audio_data")
            try:
                # Each piece is encoded by itself, so that padding may stand between two.
                self._audio += base64.b64decode(piece, validate=True)
            except ValueError:
                self.unreadable += 1
        elif kind == "speech.audio.done":
            self._set({name: value for name, value in data.items() if name not in ("type", "audio", "audio_data")})
            self.ended = True
        else:
            return False
        return True
