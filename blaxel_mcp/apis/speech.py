"""The speech API: OpenAI's `POST /v1/audio/speech`."""

from types import MappingProxyType

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


class Speech(ModelAPI):
    """Turns text into speech."""

    name = "speech"
    path = "/v1/audio/speech"
    summary = "Speaks `input` in a `voice`."
    listed_fields = MappingProxyType(
        {"input": "", "voice": "Such as alloy.", "instructions": "How to speak.", "response_format": ""}
    )
    choices = MappingProxyType({"response_format": ("mp3", "opus", "aac", "flac", "wav", "pcm")})
    accept = "audio/*, application/json;q=0.5"

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return object_schema(
            {
                "input": {"type": "string", "description": "The text to speak."},
                "voice": {"type": "string", "description": "Such as alloy, nova or onyx; names vary by provider."},
                "instructions": {"type": "string", "description": "How to speak it, where supported."},
                "response_format": {"type": "string", "description": "mp3, wav, opus, aac, flac or pcm."},
                "speed": {"type": "number", "minimum": 0.25, "maximum": 4, "description": "0.25 to 4; 1 is normal."},
            },
            "input",
            "voice",
        )
