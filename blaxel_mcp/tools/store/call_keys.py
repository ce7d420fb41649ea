"""Keys of calls: in a SQLite file for all processes of a user on this machine, or in Redis or Valkey for all servers.

Every method blocks.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blaxel_mcp.budget.shared.engine import NOW_LUA, TAG, SharedStateError
from blaxel_mcp.budget.shared.state import SharedState
from blaxel_mcp.core.private_files import make_own_file, make_own_folder, user_folder
from blaxel_mcp.settings.limits import LEASE_SECONDS

if TYPE_CHECKING:
    import sqlite3

_KEPT_SECONDS = 86_400
"""How long a key is kept after its call has begun."""

_MAX_RESULT_CHARS = 4_000_000
"""A longer result is not kept: its call counts as done without one."""

_MAX_KEYS = 5000
_BUSY_SECONDS = 2.0

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, arguments TEXT NOT NULL, call_id TEXT NOT NULL, begun REAL NOT NULL, until REAL NOT NULL,
    is_done INTEGER NOT NULL DEFAULT 0, result TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_age ON keys (begun);
"""


_CLAIM = f"""{NOW_LUA}
local arguments, call_id, lease_ms, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record = redis.call('HMGET', KEYS[1], 'arguments', 'call_id', 'until', 'result', 'is_done')
if not record[1] then
  redis.call('HSET', KEYS[1], 'arguments', arguments, 'call_id', call_id, 'until', now + lease_ms)
  redis.call('EXPIRE', KEYS[1], kept)
  return {{'new', call_id, ''}}
end
if record[1] ~= arguments then return {{'other', record[2], ''}} end
if record[5] then return {{'done', record[2], record[4]}} end
-- Sent twice when a connection broke before the answer.
if record[2] == call_id then return {{'new', call_id, ''}} end
if tonumber(record[3]) > now then return {{'running', record[2], ''}} end
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], 'call_id', call_id, 'until', now + lease_ms)
  return {{'new', call_id, ''}}
end
return {{'lost', record[2], ''}}
"""

_RENEW = f"""{NOW_LUA}
local lost = {{}}
for index, key in ipairs(KEYS) do
  local call_id = redis.call('HGET', key, 'call_id')
  if not call_id then lost[#lost + 1] = index - 1 end
  if call_id == ARGV[1 + index] then redis.call('HSET', key, 'until', now + ARGV[1]) end
end
return lost
"""

_FINISH = """
if redis.call('HGET', KEYS[1], 'call_id') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'result', ARGV[2], 'is_done', '1')
  return 1
end
return 0
"""

_RELEASE = "if redis.call('HGET', KEYS[1], 'call_id') == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class CallKeysError(Exception):
    """The keys cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The state of a key, and the call that it belongs to, with its result as JSON once it is done.

    A `new` key's caller makes the call, an `other` one belongs to other arguments, and the process of a `lost` one is
    gone.
    """

    state: Literal["new", "running", "done", "lost", "other"]
    call_id: str
    result: str | None = None


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
            # Those of the future come from a clock that was wrong.
            old, future = now - _KEPT_SECONDS, now + _KEPT_SECONDS
            connection.execute("DELETE FROM keys WHERE begun < ? OR begun > ?", (old, future))
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
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                # The file may be locked or the disk full: the next use tries again.
                connection.close()
                raise
            self._connection = connection
        return self._connection


class SharedKeys:
    """The keys of all servers."""

    def __init__(self, state: SharedState) -> None:
        self._engine, self._cipher = state.engine, state.cipher
        self._lease_ms = round(state.lease_seconds * 1000)

    def claim(self, key: str, arguments: str, call_id: str, *, again: bool = False) -> Claim:
        """Take a free key for a call, or with `again` the key of a lost call; otherwise return the key's state.

        A result that was encrypted with another `shared.key` is omitted.
        """
        place = _place(key)
        state, its_call, result = self._run(
            _CLAIM, [place], arguments, call_id, self._lease_ms, _KEPT_SECONDS, int(again)
        )
        text: str | None = None
        if result:
            with suppress(SharedStateError):
                text = zlib.decompress(self._cipher.decrypt(result, place)).decode()
        return Claim(state.decode(), its_call.decode(), text)

    def renew(self, keys: Mapping[str, str]) -> list[str]:
        """Renew the leases of running calls, given the id of the call with each key; return the keys that are lost."""
        lost = self._run(_RENEW, [_place(key) for key in keys], self._lease_ms, *keys.values())
        return [list(keys)[index] for index in lost]

    def finish(self, key: str, call_id: str, result: str) -> bool:
        """Store the result of a call, for repeated calls; return False if the key is not the call's."""
        # It is kept for a day, and has the answer twice: as text, and as structured content.
        compressed = zlib.compress(result.encode())
        return bool(self._run(_FINISH, [_place(key)], call_id, self._cipher.encrypt(compressed, _place(key))))

    def release(self, key: str, call_id: str) -> None:
        """Forget a key."""
        self._run(_RELEASE, [_place(key)], call_id)

    def close(self) -> None:
        """Do nothing: the connections belong to the server."""

    def _run(self, script: str, places: list[str], *arguments: str | float | bytes) -> Any:
        try:
            return self._engine.run(script, places, *arguments)
        except SharedStateError as error:
            raise CallKeysError(str(error)) from None


def _place(key: str) -> str:
    return f"{TAG}:key:{key}"
