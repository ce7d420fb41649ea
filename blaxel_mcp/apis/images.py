"""The images API: OpenAI's `POST /v1/images/generations`."""

from types import MappingProxyType

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


class Images(ModelAPI):
    """Generates images from a description."""

    name = "images"
    path = "/v1/images/generations"
    summary = "Generates images from a description, `prompt`."
    listed_fields = MappingProxyType({"prompt": "", "size": "Such as 1024x1024.", "quality": "", "n": ""})
    choices = MappingProxyType({"quality": ("auto", "low", "medium", "high", "standard", "hd")})
    accept = "application/json, image/*;q=0.8"

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return object_schema(
            {
                "prompt": {"type": "string", "description": "What the image shows."},
                "size": {"type": "string", "description": "Such as 1024x1024, or auto."},
                "quality": {"type": "string", "description": "low, medium, high or auto, where supported."},
                "background": {"type": "string", "description": "transparent, opaque or auto, where supported."},
                "output_format": {"type": "string", "description": "png, jpeg or webp, where supported."},
                "n": {"type": "integer", "minimum": 1, "description": "Number of images (default: 1)."},
            },
            "prompt",
        )
