"""Keys of calls in Redis or Valkey, for all servers. Results are encrypted. Every method blocks."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from blaxel_mcp.budget.shared.engine import NOW_LUA, TAG, SharedStateError
from blaxel_mcp.budget.shared.state import SharedState
from blaxel_mcp.tools.paid_once import KEPT_SECONDS, CallKeysError, Claim

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
            _CLAIM, [place], arguments, call_id, self._lease_ms, KEPT_SECONDS, int(again)
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
