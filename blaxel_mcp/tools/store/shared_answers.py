"""Answers in Redis or Valkey, where every server finds those of its caller; encrypted, and kept for an hour.

Every method blocks: call them in a thread.
"""

import json
import math
from typing import Any

from blaxel_mcp.budget.shared.engine import TAG
from blaxel_mcp.budget.shared.state import SharedState
from blaxel_mcp.tools.store.stored_answer import LIFETIME_SECONDS, StoredAnswer

CHUNK_BYTES = 8 * 1024 * 1024
"""A larger answer is kept in several parts: one value of the engine may have 512 MB, and blocks it while it is sent."""


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
