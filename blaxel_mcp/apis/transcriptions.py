"""The transcriptions API: OpenAI's `POST /v1/audio/transcriptions`, a form with a file (RFC 7578)."""

import secrets
from typing import Any

from blaxel_mcp.apis.base import Encoded, ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.apis.input_files import FileData
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


class Transcriptions(ModelAPI):
    """A recording in, its words out."""

    name = "transcriptions"
    path = "/v1/audio/transcriptions"
    summary = "Write down what is said in a recording: give `file`, the path of the recording or a data: URL."
    accept = "application/json, text/plain;q=0.8"
    file_arguments = ("file",)
    multipart = True

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return object_schema(
            {
                "file": {"type": "string", "description": "The recording: a path or a data: URL."},
                "language": {"type": "string", "description": "Its language, such as en; found out if left out."},
                "prompt": {"type": "string", "description": "Words that it may hold, such as names."},
                "response_format": {"type": "string", "description": "json, text, srt, verbose_json or vtt."},
                "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1."},
            },
            "file",
        )

    def check(self, body: JSONObject) -> None:
        """Refuse a recording that was not brought along: the API takes no URLs."""
        if not isinstance(body.get("file"), FileData):
            raise InvalidArgumentsError(
                "`file` has to be a recording itself: this API fetches none.",
                hint="Give the path of a file below one of files.allowed_dirs, or a data: URL.",
            )

    def encode(self, body: Any) -> Encoded:
        """Write the fields as a form, the recording as a file in it."""
        self.check(body)
        boundary = f"blaxel-mcp-{secrets.token_hex(16)}"
        parts: list[bytes] = []
        for name, value in body.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            parts += [_form_part(boundary, name, item) for item in values]
        content = b"".join((*parts, f"--{boundary}--\r\n".encode()))
        return Encoded(content, f"multipart/form-data; boundary={boundary}")

    def text(self, answer: Any) -> str | None:
        """The words of the recording."""
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
    """A name within quotation marks, as browsers write one (WHATWG HTML, multipart form data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
