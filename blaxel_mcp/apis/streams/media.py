"""Events of images, speech and transcriptions, of OpenAI and of Mistral."""

import base64

from blaxel_mcp.apis.streams.assembler import Assembler, text_in
from blaxel_mcp.core.json_text import JSONObject

_IMAGE_FIELDS = ("b64_json", "url", "revised_prompt")


class ImagesAssembler(Assembler):
    """Assembles image events. Partial images are dropped: the final one contains all that they show."""

    api = "images"
    path_ends = ("/images/generations", "/images/edits")
    kind_prefixes = ("image_generation.", "image_edit.")
    linger_seconds = 60.0
    """The next of several images may take so long."""

    def __init__(self) -> None:
        super().__init__()
        self._images: list[JSONObject] = []

    def _is_complete(self) -> bool:
        # The format has no other end marker.
        return bool(self._images)

    def _built(self) -> JSONObject:
        return {**self._answer, "data": self._images}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        stage = kind.partition(".")[2]
        if stage == "completed":
            self._images.append({name: data[name] for name in _IMAGE_FIELDS if name in data})
            others = {name: value for name, value in data.items() if name not in (*_IMAGE_FIELDS, "type")}
            if "created_at" in others:
                others["created"] = others.pop("created_at")
            self._set(others)
        return stage in ("completed", "partial_image")


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
