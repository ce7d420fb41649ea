"""Speech: `/v1/audio/speech` (OpenAI API reference, Audio). A tone for each word, its pitch derived from the word."""

import hashlib
import io
import math
import struct
import wave

from starlette.responses import Response

from blaxel_mcp.emulator.apis.base import ProviderCall, check_model, valid_body
from blaxel_mcp.emulator.apis.body_schema import ANYTHING, TEXT, closed, number
from blaxel_mcp.emulator.platform.errors import openai_error

_MEDIA_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}
_BODY = closed(
    "input",
    "voice",
    model=ANYTHING,
    input={"type": "string", "minLength": 1, "maxLength": 4096},
    voice=TEXT,
    instructions=ANYTHING,
    response_format=TEXT,
    speed=number(0.25, 4),
    stream_format=ANYTHING,
)

RATE = 8000
"""Samples per second, of 16 bits, in one channel."""

TONE_SECONDS = 0.06
SILENCE_SECONDS = 0.02

_SILENT_FRAME = bytes((0xFF, 0xFB, 0x10, 0xC0)).ljust(144 * 32_000 // 44_100, b"\0")
"""A frame of MPEG-1 Layer III, 32 kbit/s at 44.1 kHz in one channel, whose spectrum is empty (ISO/IEC 11172-3, 2.4)."""

_FRAME_SECONDS = 1152 / 44_100


async def handle(call: ProviderCall) -> Response:
    """Answer with audio."""
    check_model(call)
    body = valid_body(_BODY, call.body)
    audio_format = body.get("response_format") or "mp3"
    if audio_format not in _MEDIA_TYPES:
        message = f"The emulator supports only the response formats mp3, wav and pcm, not {audio_format!r}."
        raise openai_error(400, message, param="response_format", code="unsupported_value")
    samples = speak(body["input"])
    content = samples
    if audio_format == "mp3":
        content = as_silent_mp3(samples)
    elif audio_format == "wav":
        content = as_wav(samples)
    return Response(content, media_type=_MEDIA_TYPES[audio_format])


def speak(text: str) -> bytes:
    """Return a tone and a silence for each word, as samples."""
    samples = bytearray()
    for word in text.split():
        pitch = 200 + hashlib.sha256(word.lower().encode()).digest()[0] * 4
        for index in range(int(RATE * TONE_SECONDS)):
            value = int(12_000 * math.sin(2 * math.pi * pitch * index / RATE))
            # A zero inside a tone would count as silence.
            samples += struct.pack("<h", value or 1)
        samples += bytes(2 * int(RATE * SILENCE_SECONDS))
    return bytes(samples)


def as_silent_mp3(samples: bytes) -> bytes:
    """Return an MP3 file of the same length without a sound: there is no encoder here, and mp3 is the API's default."""
    seconds = len(samples) / 2 / RATE
    return _SILENT_FRAME * math.ceil(seconds / _FRAME_SECONDS)


def as_wav(samples: bytes) -> bytes:
    """Return samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples)
    return file.getvalue()
