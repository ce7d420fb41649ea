"""The stored form of an answer, and the limits of a store."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from blaxel_mcp.core.json_text import compact
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer

LIFETIME_SECONDS = 3600

INLINE_BYTES = 100_000
"""Parts of answers up to this size are read without a thread."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A complete answer in the form in which it is stored.

    JSON and text are in UTF-8, in which half surrogate pairs are allowed. If `is_compact`, JSON has no insignificant
    white space, as its readers expect.
    """

    kind: Literal["json", "text", "binary"]
    media_type: str
    data: bytes = field(repr=False)
    is_compact: bool = True

    @property
    def text(self) -> str:
        """The body of JSON or text, verbatim."""
        return self.data.decode("utf-8", "surrogatepass")

    def compacted(self) -> Self:
        """Return the answer without insignificant white space; itself if it has none."""
        if self.is_compact:
            return self
        return replace(self, data=compact(self.text).encode("utf-8", "surrogatepass"), is_compact=True)


def stored(answer: Answer) -> StoredAnswer:
    """Return the stored form of an answer."""
    match answer:
        case JSONAnswer(text=text, is_compact=is_compact):
            return StoredAnswer("json", "application/json", text.encode("utf-8", "surrogatepass"), is_compact)
        case TextAnswer(text=text):
            return StoredAnswer("text", "text/plain", text.encode("utf-8", "surrogatepass"))
        case BinaryAnswer(data=data, media_type=media_type):
            return StoredAnswer("binary", media_type, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """The limits of a store: the number of answers and their lifetime, and their size in memory and on disk."""

    answers: int = 200
    lifetime_seconds: float = LIFETIME_SECONDS
    memory_bytes: int = 32 * 1024 * 1024
    disk_bytes: int = 1024 * 1024 * 1024
