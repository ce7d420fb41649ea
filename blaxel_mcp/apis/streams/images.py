"""Image events (OpenAI API reference, "Image Streaming"), of generations and of edits."""

from blaxel_mcp.apis.streams.assembler import Assembler, merge_usage
from blaxel_mcp.apis.streams.deltas import finalize
from blaxel_mcp.core.json_text import JSONObject

_PREFIXES = ("image_generation.", "image_edit.")
_IMAGE_FIELDS = ("b64_json", "url", "revised_prompt")


class ImagesAssembler(Assembler):
    """Assembles image events. Partial images are dropped: the final one contains all that they show."""

    linger_seconds = 60.0
    """The next of several images may take so long."""

    def __init__(self) -> None:
        super().__init__()
        self._top: JSONObject = {}
        self._images: list[JSONObject] = []

    @property
    def complete(self) -> bool:
        """Whether a final image was received: the format has no other end marker."""
        return super().complete or bool(self._images)

    @property
    def text(self) -> str:
        """Images have no text."""
        return ""

    def value(self) -> JSONObject:
        """Return the answer of `/v1/images/generations`."""
        return finalize(self._with_unknown({**self._top, "data": self._images}))

    @staticmethod
    def recognizes(kind: str, data: JSONObject) -> bool:  # noqa: ARG004 - the kind says it all
        """Return whether an event is one of an image."""
        return kind.startswith(_PREFIXES)

    def _apply(self, kind: str, data: JSONObject) -> bool:
        match kind.partition(".")[2]:
            case "partial_image":
                return True
            case "completed":
                self._images.append({name: data[name] for name in _IMAGE_FIELDS if name in data})
                others = {name: value for name, value in data.items() if name not in (*_IMAGE_FIELDS, "type")}
                if "created_at" in others:
                    others["created"] = others.pop("created_at")
                if "usage" in others:
                    others["usage"] = merge_usage(self._top.get("usage"), others["usage"])
                self._top |= others
                return True
        return False
