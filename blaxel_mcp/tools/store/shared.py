"""A private folder in which the processes of one server find each other's answers.

A client's next request goes to any process, and may ask for an answer that another one has.
Every method blocks: call them in a thread.
"""

import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blaxel_mcp.core.private_files import make_own_folder, read_private, write_private
from blaxel_mcp.tools.store.stored_answer import StoredAnswer, StoreLimits

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PARTIAL = ".new-"
_MAX_HEAD_BYTES = 1000


class SharedAnswers:
    """The answers of one caller, a file each.

    Args:
        folder: The folder; created with the first answer.
        limits: How many answers are kept, for how long, and how much space they may take.
        now: The clock, in seconds since the epoch, like the times of files.
    """

    def __init__(self, folder: Path, limits: StoreLimits, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._limits = limits
        self._now = now

    def write(self, call_id: str, answer: StoredAnswer) -> None:
        """Store an answer, and remove expired ones and the oldest ones over the limits.

        Raises:
            OSError: The file could not be written.
        """
        make_own_folder(self._folder)
        head = json.dumps({"kind": answer.kind, "media_type": answer.media_type}).encode()
        partial = self._folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        write_private(partial, head + b"\n" + answer.compacted().data)
        # Another process finds the complete answer or none.
        partial.replace(self._folder / call_id)
        files: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            # Another process may be removing the same file.
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        oldest = self._now() - self._limits.lifetime_seconds
        total = 0
        for count, (modified_at, size, path) in enumerate(sorted(files, reverse=True), 1):
            total += size
            if modified_at < oldest or count > self._limits.answers or total > self._limits.disk_bytes:
                path.unlink(missing_ok=True)

    def read(self, call_id: str) -> StoredAnswer | None:
        """Return an answer; None if it is unknown or has expired."""
        # The id comes from a caller: it must not lead out of the folder.
        if not _CALL_ID.fullmatch(call_id):
            return None
        path = self._folder / call_id
        try:
            if self._now() - path.stat().st_mtime > self._limits.lifetime_seconds:
                return None
            head, _, data = read_private(path).partition(b"\n")
        except OSError:
            return None
        fields = json.loads(head[:_MAX_HEAD_BYTES])
        return StoredAnswer(fields["kind"], fields["media_type"], data)

    def remove(self, call_id: str) -> None:
        """Remove an answer; it expires anyway if the file cannot be deleted."""
        with suppress(OSError):
            (self._folder / call_id).unlink(missing_ok=True)
