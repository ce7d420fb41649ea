"""Image events (OpenAI API reference, "Image Streaming"), of generations and of edits."""

from blaxel_mcp.apis.streams.assembler import Assembler
from blaxel_mcp.core.json_text import JSONObject

_IMAGE_FIELDS = ("b64_json", "url", "revised_prompt")


class ImagesAssembler(Assembler):
    """Assembles image events. Partial images are dropped: the final one contains all that they show."""

    api = "images"
    path_ends = ("/images/generations", "/images/edits")
    kind_prefixes = ("image_generation.", "image_edit.")
    linger_seconds = 60.0
    """The next of several images may take so long."""

    def __init__(self) -> None:
        super().__init__()
        self._images: list[JSONObject] = []

    @property
    def complete(self) -> bool:
        """Whether a final image was received: the format has no other end marker."""
        return super().complete or bool(self._images)

    def _built(self) -> JSONObject:
        return {**self._answer, "data": self._images}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        stage = kind.partition(".")[2]
        if stage == "completed":
            self._images.append({name: data[name] for name in _IMAGE_FIELDS if name in data})
            others = {name: value for name, value in data.items() if name not in (*_IMAGE_FIELDS, "type")}
            if "created_at" in others:
                others["created"] = others.pop("created_at")
            self._set(others)
        return stage in ("completed", "partial_image")
