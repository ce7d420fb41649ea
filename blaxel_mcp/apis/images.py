"""The images API: OpenAI's `POST /v1/images/generations`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import count, string


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
