"""The stored form of an answer, the limits of a store, and the answers that all servers share.

Methods of `SharedAnswers` block: call them in a thread.
"""

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from blaxel_mcp.budget.shared.engine import TAG
from blaxel_mcp.budget.shared.state import SharedState
from blaxel_mcp.core.json_text import compact
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer

LIFETIME_SECONDS = 3600

INLINE_BYTES = 100_000
"""Parts of answers up to this size are read without a thread."""

CHUNK_BYTES = 8 * 1024 * 1024
"""A larger answer is kept in several parts: one value of the engine may have 512 MB, and blocks it while it is sent."""


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


class SharedAnswers:
    """The answers of one caller."""

    def __init__(self, state: SharedState, owner: str) -> None:
        self._state = state
        self._prefix = f"{TAG}:answer:{owner}:"
        self._last = last_place(owner)

    def write(self, call_id: str, answer: StoredAnswer) -> None:
        """Store an answer in its compact form; SharedStateError if the engine cannot be used."""
        place, data = f"{self._prefix}{call_id}", answer.compacted().data
        chunks = max(1, math.ceil(len(data) / CHUNK_BYTES))
        parts = {f"{place}:{index}": data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES] for index in range(chunks)}
        head = json.dumps({"kind": answer.kind, "media_type": answer.media_type, "chunks": chunks}).encode()
        *others, (last, end) = parts.items()
        for key, part in others:
            self._set({key: part})
        # At the end, so that another server finds the complete answer or none.
        self._set({last: end, place: head}, call_id)

    def read(self, call_id: str) -> StoredAnswer | None:
        """Return an answer; None if it is unknown or has expired.

        Raises:
            SharedStateError: The engine cannot be used, or the servers have different keys.
        """
        place = f"{self._prefix}{call_id}"
        head = self._get(place)
        if head is None:
            return None
        fields = json.loads(head)
        chunks = [self._get(f"{place}:{number}") for number in range(fields["chunks"])]
        parts = [chunk for chunk in chunks if chunk is not None]
        if len(parts) < len(chunks):
            return None
        return StoredAnswer(fields["kind"], fields["media_type"], b"".join(parts))

    def last(self) -> str | None:
        """Return the id of the caller's call that was answered or handed back last, on any server; None without one.

        Raises:
            SharedStateError: The engine cannot be used.
        """
        (call_id,) = self._state.engine.batch(lambda pipeline: pipeline.get(self._last))
        return call_id.decode() if call_id else None

    def _set(self, values: dict[str, bytes], call_id: str | None = None) -> None:
        encrypted = {place: self._state.cipher.encrypt(data, place) for place, data in values.items()}

        def fill(pipeline: Any) -> None:
            for place, data in encrypted.items():
                pipeline.set(place, data, ex=LIFETIME_SECONDS)
            if call_id:
                pipeline.set(self._last, call_id, ex=LIFETIME_SECONDS)

        self._state.engine.batch(fill)

    def _get(self, place: str) -> bytes | None:
        (encrypted,) = self._state.engine.batch(lambda pipeline: pipeline.get(place))
        return None if encrypted is None else self._state.cipher.decrypt(encrypted, place)


def last_place(owner: str) -> str:
    """Return the key for the id of a caller's last call."""
    return f"{TAG}:last:{owner}"
