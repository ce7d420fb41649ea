"""An answer in the form in which it is kept for whoever asks for the rest of it, and how much of that there may be."""

from dataclasses import dataclass, field
from typing import Literal

from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it is kept.

    Attributes:
        kind: What it is.
        media_type: Its media type.
        data: The body: for JSON and text in UTF-8, half surrogate pairs included.
    """

    kind: Literal["json", "text", "binary"]
    media_type: str
    data: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """JSON or text as it was."""
        return self.data.decode("utf-8", "surrogatepass")


def kept(answer: Answer) -> KeptAnswer:
    """An answer in the form in which it is kept."""
    match answer:
        case JSONAnswer(text=text):
            return KeptAnswer("json", "application/json", text.encode("utf-8", "surrogatepass"))
        case TextAnswer(text=text):
            return KeptAnswer("text", "text/plain", text.encode("utf-8", "surrogatepass"))
        case BinaryAnswer(data=data, media_type=media_type):
            return KeptAnswer("binary", media_type, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """What a store may take up.

    Attributes:
        memory_bytes: In memory.
        disk_bytes: On disk, the files of large media included.
        calls: Answers in all.
        seconds: How long each is kept.
    """

    memory_bytes: int = 32 * 1024 * 1024
    disk_bytes: int = 1024 * 1024 * 1024
    calls: int = 200
    seconds: float = 3600.0
