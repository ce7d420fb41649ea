"""Keys of calls in a SQLite file, for all processes of a user on this machine. Every method blocks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blaxel_mcp.core.private_files import make_own_file, make_own_folder
from blaxel_mcp.core.user_folders import user_folder
from blaxel_mcp.settings.schema import LEASE_SECONDS
from blaxel_mcp.tools.paid_once import KEPT_SECONDS, CallKeysError, Claim

if TYPE_CHECKING:
    import sqlite3

_MAX_RESULT_CHARS = 4_000_000
"""A longer result is not kept: its call counts as done without one."""

_MAX_KEYS = 5000
_BUSY_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, arguments TEXT NOT NULL, call_id TEXT NOT NULL, begun REAL NOT NULL, until REAL NOT NULL,
    is_done INTEGER NOT NULL DEFAULT 0, result TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_age ON keys (begun);
"""


def default_keys() -> Path:
    """Return the path of the file: in the user's state folder."""
    return user_folder("state") / "calls.sqlite3"


class LocalKeys:
    """The keys of this machine's user, in a file that is made and opened on first use, and that holds results.

    A call counts as running for `lease_seconds` without a sign of its process. Processes compare their times, so `now`
    counts from the epoch.
    """

    def __init__(
        self, path: Path, *, lease_seconds: float = LEASE_SECONDS, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._lease_seconds = lease_seconds
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def claim(self, key: str, arguments: str, call_id: str, *, again: bool = False) -> Claim:
        """Take a free key for a call, or with `again` the key of a lost call; otherwise return the key's state."""
        now = self._now()
        with self._transaction() as connection:
            connection.execute("DELETE FROM keys WHERE begun < ?", (now - KEPT_SECONDS,))
            row = connection.execute(
                "SELECT arguments, call_id, until, is_done, result FROM keys WHERE key = ?", (key,)
            ).fetchone()
            if row is None or (again and row[0] == arguments and not row[3] and row[2] <= now):
                connection.execute(
                    "INSERT OR REPLACE INTO keys (key, arguments, call_id, begun, until) VALUES (?, ?, ?, ?, ?)",
                    (key, arguments, call_id, now, now + self._lease_seconds),
                )
                connection.execute(
                    "DELETE FROM keys WHERE key IN (SELECT key FROM keys ORDER BY begun DESC LIMIT -1 OFFSET ?)",
                    (_MAX_KEYS,),
                )
                return Claim("new", call_id)
        its_arguments, its_call, until, is_done, result = row
        if its_arguments != arguments:
            return Claim("other", its_call)
        if is_done:
            return Claim("done", its_call, result)
        return Claim("running" if until > now else "lost", its_call)

    def renew(self, keys: Mapping[str, str]) -> list[str]:
        """Renew the leases of running calls, given the id of the call with each key; return no lost keys."""
        until = self._now() + self._lease_seconds
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE keys SET until = ? WHERE key = ? AND call_id = ?",
                [(until, key, call_id) for key, call_id in keys.items()],
            )
        return []

    def finish(self, key: str, call_id: str, result: str) -> bool:
        """Store the result of a call, for repeated calls; return False if the key is not the call's."""
        short_result = result if len(result) <= _MAX_RESULT_CHARS else None
        with self._transaction() as connection:
            updated = connection.execute(
                "UPDATE keys SET is_done = 1, result = ? WHERE key = ? AND call_id = ?", (short_result, key, call_id)
            )
            return updated.rowcount > 0

    def release(self, key: str, call_id: str) -> None:
        """Forget a key."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM keys WHERE key = ? AND call_id = ?", (key, call_id))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator["sqlite3.Connection"]:
        import sqlite3  # noqa: PLC0415 - 1.4 MB, for the first call with a key

        with self._lock:
            try:
                connection = self._connect()
                connection.execute("BEGIN IMMEDIATE")
                # It commits, or rolls back after an error.
                with connection:
                    yield connection
            except (sqlite3.Error, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise CallKeysError(f"the file {self._path} cannot be used: {reason}") from None

    def _connect(self) -> "sqlite3.Connection":
        import sqlite3  # noqa: PLC0415 - as above

        if self._connection is None:
            make_own_folder(self._path.parent)
            # SQLite gives its other files the mode of this one.
            make_own_file(self._path)
            self._connection = connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        return self._connection
