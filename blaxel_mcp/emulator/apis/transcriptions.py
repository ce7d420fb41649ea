"""Transcriptions: `/v1/audio/transcriptions` (OpenAI API reference, Audio). The text says how many sounds there are."""

import io
import re
import wave
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, UploadedFile, check_model, valid_body
from blaxel_mcp.emulator.apis.body_schema import ANYTHING, Flaw, closed, one_of
from blaxel_mcp.emulator.apis.completions import counted
from blaxel_mcp.emulator.apis.refusals import openai_refusal

_BODY = closed(
    "file",
    "model",
    file=ANYTHING,
    model=ANYTHING,
    language=ANYTHING,
    prompt=ANYTHING,
    response_format=one_of("json", "text", "verbose_json"),
    temperature=ANYTHING,
)

_SILENCE = re.compile(rb"(?:\x00\x00){80,}")
"""A hundredth of a second of silence, at the sample rate of the emulator's speech."""


async def handle(call: ProviderCall) -> Response:
    """Answer with the number of sounds in a recording and its length."""
    check_model(call)
    form = valid_body(_BODY, call.body)
    if not isinstance(form["file"], UploadedFile):
        raise openai_refusal(Flaw("type", ("file",), "file"))
    response_format = form.get("response_format", "json")
    seconds, sounds = hear(form["file"])
    text = f"I hear {counted(sounds, 'sound')} in {seconds:.2f} seconds."
    if response_format == "text":
        return PlainTextResponse(text + "\n")
    answer: dict[str, Any] = {"text": text, "usage": {"type": "duration", "seconds": round(seconds)}}
    if response_format == "verbose_json":
        answer |= {"task": "transcribe", "language": form.get("language", "english"), "duration": seconds}
    return JSONResponse(answer)


def hear(file: UploadedFile) -> tuple[float, int]:
    """Return the length of a WAV file in seconds and the number of sounds in it, separated by silence."""
    try:
        with wave.open(io.BytesIO(file.data)) as sound:
            samples = sound.readframes(sound.getnframes())
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError) as error:
        expected = "a WAV file, the only format that the emulator reads"
        raise openai_refusal(Flaw("value", ("file",), expected)) from error
    return seconds, sum(bool(part) for part in _SILENCE.split(samples))
