"""Recordings written down: `/v1/audio/transcriptions` (OpenAI API reference). It hears how many sounds there are."""

import io
import re
import wave
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, UploadedFile
from blaxel_mcp.emulator.apis.openai_fields import check_known, check_model, choice, missing, wrong_type, wrong_value

KNOWN_FIELDS = ("file", "model", "language", "prompt", "response_format", "temperature")
FORMATS = ("json", "text", "verbose_json")

_SILENCE = re.compile(rb"(?:\x00\x00){80,}")
"""A hundredth of a second without a sound, at the rate at which the emulator speaks."""


async def serve(call: ProviderCall) -> Response:
    """Answer with what can be heard.

    Raises:
        RefusedError: OpenAI would refuse the form.
    """
    check_model(call)
    body = call.body
    check_known(body, KNOWN_FIELDS)
    for name in ("file", "model"):
        if name not in body:
            raise missing(name)
    file = body["file"]
    if not isinstance(file, UploadedFile):
        raise wrong_type("file", "a file")
    wanted = choice(body.get("response_format", "json"), "response_format", FORMATS)
    seconds, sounds = hear(file)
    text = f"I hear {sounds} sounds in {seconds:.2f} seconds."
    if wanted == "text":
        return PlainTextResponse(text + "\n")
    answer: dict[str, Any] = {"text": text, "usage": {"type": "duration", "seconds": round(seconds)}}
    if wanted == "verbose_json":
        answer |= {"task": "transcribe", "language": body.get("language", "english"), "duration": seconds}
    return JSONResponse(answer)


def hear(file: UploadedFile) -> tuple[float, int]:
    """Return how long a WAV file is, in seconds, and how many sounds silence parts in it."""
    try:
        with wave.open(io.BytesIO(file.data)) as sound:
            samples = sound.readframes(sound.getnframes())
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise wrong_value("file", "a WAV file, which is all that the emulator hears") from error
    return seconds, sum(bool(part) for part in _SILENCE.split(samples))
