"""The speech API: OpenAI's `POST /v1/audio/speech`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import string


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
