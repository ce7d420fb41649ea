"""The images API: OpenAI's `POST /v1/images/generations`."""

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


class Images(ModelAPI):
    """A description in, pictures out."""

    name = "images"
    path = "/v1/images/generations"
    summary = "Paint a picture: give `prompt` with what it shows."
    accept = "application/json, image/*;q=0.8"

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return object_schema(
            {
                "prompt": {"type": "string", "description": "What the picture shows."},
                "size": {"type": "string", "description": "Such as 1024x1024, or auto."},
                "quality": {"type": "string", "description": "low, medium, high or auto, where supported."},
                "background": {"type": "string", "description": "transparent, opaque or auto, where supported."},
                "output_format": {"type": "string", "description": "png, jpeg or webp, where supported."},
                "n": {"type": "integer", "minimum": 1, "description": "How many pictures; 1 if left out."},
            },
            "prompt",
        )
