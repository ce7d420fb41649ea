"""Answers that the processes of one server keep for each other, in a private folder.

A client's next request goes to any of them, and what it asks for may have been answered by another. Everything here
blocks; it is called in a thread.
"""

import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blaxel_mcp.core.private_files import make_own_folder, write_private
from blaxel_mcp.tools.store.entries import KeptAnswer, StoreLimits

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PARTIAL = ".new-"
_MAX_HEAD_BYTES = 1000


class SharedAnswers:
    """The answers of one caller, a file each.

    Args:
        folder: Where they are; made when the first one is written.
        limits: How many are kept, for how long, and how much space they may take.
        now: The clock, in seconds since the epoch, as files have it.
    """

    def __init__(self, folder: Path, limits: StoreLimits, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._limits = limits
        self._now = now

    def write(self, call_id: str, answer: KeptAnswer) -> None:
        """Keep an answer; the oldest make room for it.

        Raises:
            OSError: the disk refused it.
        """
        make_own_folder(self._folder)
        head = json.dumps({"kind": answer.kind, "media_type": answer.media_type}).encode()
        beside = self._folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        write_private(beside, head + b"\n" + answer.data)
        # Whoever looks for it finds the whole of it or nothing.
        beside.replace(self._folder / call_id)
        self._make_room()

    def read(self, call_id: str) -> KeptAnswer | None:
        """An answer that is kept; None for none."""
        # The id comes from outside, and must not lead anywhere else.
        if not _CALL_ID.fullmatch(call_id):
            return None
        path = self._folder / call_id
        try:
            if self._now() - path.stat().st_mtime > self._limits.seconds:
                return None
            head, _, data = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        told = json.loads(head[:_MAX_HEAD_BYTES])
        return KeptAnswer(told["kind"], told["media_type"], data)

    def remove(self, call_id: str) -> None:
        """Remove an answer; a disk that refuses that is no failure."""
        with suppress(OSError):
            (self._folder / call_id).unlink(missing_ok=True)

    def _make_room(self) -> None:
        files: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            # Another process may be removing the same file.
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        oldest = self._now() - self._limits.seconds
        total = 0
        for count, (modified_at, size, path) in enumerate(sorted(files, reverse=True), 1):
            total += size
            if modified_at < oldest or count > self._limits.calls or total > self._limits.disk_bytes:
                path.unlink(missing_ok=True)
