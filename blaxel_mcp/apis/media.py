"""OpenAI's APIs of images, speech and transcriptions."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from blaxel_mcp.apis.base import Encoded, Fields, FileData, ModelAPI
from blaxel_mcp.apis.content import count, string
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


class Images(ModelAPI):
    """Generates images from a description."""

    name = "images"
    path = "/v1/images/generations"
    summary = "Generates images from a description, `prompt`."
    accept = "application/json, image/*;q=0.8"
    fields: ClassVar[Fields] = {
        "prompt": string("What the image shows."),
        "size": string("Such as 1024x1024, or auto."),
        "quality": string("low, medium, high or auto, where supported."),
        "background": string("transparent, opaque or auto, where supported."),
        "output_format": string("png, jpeg or webp, where supported."),
        "n": count("Number of images (default: 1)."),
    }
    required = ("prompt",)
    listed_fields = ("prompt", "size", "quality", "n")
    listed_hints: ClassVar[Mapping[str, str]] = {"size": "Such as 1024x1024."}
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"quality": ("auto", "low", "medium", "high", "standard", "hd")}


class Speech(ModelAPI):
    """Turns text into speech."""

    name = "speech"
    path = "/v1/audio/speech"
    summary = "Speaks `input` in a `voice`."
    accept = "audio/*, application/json;q=0.5"
    fields: ClassVar[Fields] = {
        "input": string("The text to speak."),
        "voice": string("Such as alloy, nova or onyx; names vary by provider."),
        "instructions": string("How to speak it, where supported."),
        "response_format": string("mp3, wav, opus, aac, flac or pcm."),
        "speed": {"type": "number", "minimum": 0.25, "maximum": 4, "description": "0.25 to 4; 1 is normal."},
    }
    required = ("input", "voice")
    listed_fields = ("input", "voice", "instructions", "response_format")
    listed_hints: ClassVar[Mapping[str, str]] = {"voice": "Such as alloy.", "instructions": "How to speak."}
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"response_format": ("mp3", "opus", "aac", "flac", "wav", "pcm")}


class Transcriptions(ModelAPI):
    """Turns a recording into text."""

    name = "transcriptions"
    path = "/v1/audio/transcriptions"
    summary = "Transcribes a recording, `file`."
    accept = "application/json, text/plain;q=0.8"
    file_arguments = ("file",)
    multipart = True
    fields: ClassVar[Fields] = {
        "file": string("The recording: a path or a data: URL."),
        "language": string("Its language, such as en; detected if omitted."),
        "prompt": string("Words it may contain, such as names."),
        "response_format": string("json, text, srt, verbose_json or vtt."),
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1."},
    }
    required = ("file",)
    listed_fields = ("file", "language", "prompt")
    listed_hints: ClassVar[Mapping[str, str]] = {
        "file": "A path or data: URL.",
        "language": "Such as en.",
        "prompt": "Words it may contain.",
    }

    def check(self, body: JSONObject) -> None:
        """Reject a `file` without content: the API does not fetch URLs."""
        if not isinstance(body.get("file"), FileData):
            raise InvalidArgumentsError(
                "`file` has to be a path or a data: URL: this API does not fetch https URLs.",
                hint="Pass the path of a recording in a folder that `files.allowed_dirs` lists, or a data: URL.",
            )

    def encode(self, body: Any) -> Encoded:
        """Encode the fields as a form, with the recording as a file."""
        self.check(body if isinstance(body, dict) else {})
        boundary = f"blaxel-mcp-{secrets.token_hex(16)}"
        parts: list[bytes] = []
        for name, value in body.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            parts += [_form_part(boundary, name, item) for item in values]
        content = b"".join((*parts, f"--{boundary}--\r\n".encode()))
        return Encoded(content, f"multipart/form-data; boundary={boundary}")

    def text(self, answer: Any) -> str | None:
        """Return the transcript."""
        text = answer.get("text") if isinstance(answer, dict) else None
        return text if isinstance(text, str) else None


def _form_part(boundary: str, name: str, value: Any) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if isinstance(value, FileData):
        head += f'; filename="{_quoted(value.name)}"\r\nContent-Type: {value.media_type}'
        return f"{head}\r\n\r\n".encode() + value.data + b"\r\n"
    text = value if isinstance(value, str) else json_text.dump(value)
    return f"{head}\r\n\r\n{text}\r\n".encode()


def _quoted(text: str) -> str:
    """Escape a name for quotation marks, as browsers do (WHATWG HTML, multipart form data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
