"""Spoken texts: `/v1/audio/speech` (OpenAI API reference). A tone for each word, as high as the word decides."""

import hashlib
import io
import math
import struct
import wave

from starlette.responses import Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.openai_fields import check_known, check_model, missing, number, string, wrong_value
from blaxel_mcp.emulator.platform.errors import openai_error

KNOWN_FIELDS = ("model", "input", "voice", "instructions", "response_format", "speed", "stream_format")
FORMATS = {"wav": "audio/wav", "pcm": "audio/pcm"}
MAXIMUM_CHARACTERS = 4096

RATE = 8000
"""Samples a second, of 16 bits, in one channel."""

TONE_SECONDS = 0.06
PAUSE_SECONDS = 0.02


async def serve(call: ProviderCall) -> Response:
    """Answer with sound.

    Raises:
        RefusedError: OpenAI would refuse the body, or the format is one that the emulator cannot write.
    """
    check_model(call)
    body = call.body
    check_known(body, KNOWN_FIELDS)
    for name in ("input", "voice"):
        if body.get(name) is None:
            raise missing(name)
    text = string(body["input"], "input")
    string(body["voice"], "voice")
    number(body, "speed", 0.25, 4)
    if not 0 < len(text) <= MAXIMUM_CHARACTERS:
        raise wrong_value("input", f"a text of 1 to {MAXIMUM_CHARACTERS} characters")
    wanted = body.get("response_format") or "mp3"
    if wanted not in FORMATS:
        message = f"The emulator speaks {' and '.join(FORMATS)} only, not {wanted!r}."
        raise openai_error(400, message, param="response_format", code="unsupported_value")
    samples = speak(text)
    return Response(as_wav(samples) if wanted == "wav" else samples, media_type=FORMATS[wanted])


def speak(text: str) -> bytes:
    """Return a tone and a pause for each word, as samples."""
    pause = bytes(2 * int(RATE * PAUSE_SECONDS))
    return b"".join(_tone(word) + pause for word in text.split())


def as_wav(samples: bytes) -> bytes:
    """Return samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples)
    return file.getvalue()


def _tone(word: str) -> bytes:
    pitch = 200 + hashlib.sha256(word.lower().encode()).digest()[0] * 4
    values = (int(12_000 * math.sin(2 * math.pi * pitch * index / RATE)) for index in range(int(RATE * TONE_SECONDS)))
    return b"".join(struct.pack("<h", value or 1) for value in values)
