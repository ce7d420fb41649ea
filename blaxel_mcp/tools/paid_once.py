"""Calls that are billed once: a repeated call gets the result of the first one.

A client repeats a call after a dropped connection or in a resumed session. A key identifies the call: the client's own
id of the tool call, or the argument `call_key`. Keys are kept for a day, on this machine or in the shared state.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types

from blaxel_mcp.budget.shared.state import Heartbeat
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.settings.limits import LEASE_SECONDS
from blaxel_mcp.tools.results.results import ERROR_KEY
from blaxel_mcp.tools.store.call_keys import CallKeysError, Claim, LocalKeys, SharedKeys

logger = logging.getLogger(__name__)

CALL_KEY = "call_key"
"""The argument of `run_model`."""

KEY_ARGUMENTS = frozenset({CALL_KEY, "dry_run"})
"""The arguments of `run_model` that decide on the key."""

OWN_KEY = "argument "
"""What a key begins with that an agent set."""

CLIENT_KEYS = frozenset({"claudecode/toolUseId", "callId"})
"""The keys of a tool call's id in `_meta`: of Claude Code and of Codex. Each call has its own id."""

_MAX_KEY_CHARS = 256
_UNSENT_CHARS, _MIN_UNSENT_CHARS = 50_000_000, 50_000
"""The size of the results that are kept in this process while keys cannot be used, and what each counts at least."""

_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.05, 1.0
"""Interval at which a repeated call checks whether the first one, of another process, has ended."""


@dataclass(slots=True)
class _KeyedCall:
    """A call of this process and the digest of its arguments, until its result is sent to the store of keys.

    `has_key` is whether its key is its own, and not another call's; None if keys could not be used, or have lost it.
    The key is released if there is no result, as JSON, at the end.
    """

    call_id: str
    arguments: str
    has_key: bool | None = True
    has_ended: bool = False
    result: str | None = None

    @property
    def is_unpaid(self) -> bool:
        """Whether it has ended without being billed, so its key is released."""
        return self.has_ended and self.result is None


class PaidOnce:
    """Makes each call with a key once. A call counts as lost after `lease_seconds` without a sign of its process."""

    def __init__(self, keys: LocalKeys | SharedKeys, lease_seconds: float = LEASE_SECONDS) -> None:
        self._keys = keys
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()
        self._calls: dict[str, _KeyedCall] = {}
        self._is_away = False
        self._heartbeat = Heartbeat(self._beat, lease_seconds)

    async def settled_claim(
        self, key: str, arguments: str, call_id: str, seconds: float, *, again: bool = False
    ) -> Claim:
        """Take a key for a call; if it is taken, return its state once the first call is no longer running.

        `key` and `arguments` are digests. After `seconds` it waits no longer; 0 waits without a limit. `again` is
        whether a lost call is made again: its model is marked `idempotent = true`. If keys can no longer be used while
        the first call runs, it counts as running for one more lease.

        Raises:
            CallKeysError: Keys cannot be used, and nothing is known of a first call.
        """
        first = self._calls.get(key)
        if first and not first.has_ended and first.has_key is not False and first.arguments != arguments:
            return Claim("other", first.call_id)
        is_unsent = first and first.has_ended and not await anyio.to_thread.run_sync(self._try_to_send, key)
        if first and is_unsent and first.result:
            return Claim("done" if first.arguments == arguments else "other", first.call_id, first.result)
        deadline, delay = anyio.current_time() + (seconds or float("inf")), _FIRST_LOOK_SECONDS
        # A first call that failed without being billed releases its key, and the next look takes it.
        look = partial(self._keys.claim, key, arguments, call_id, again=again)
        claim = await anyio.to_thread.run_sync(look)
        until = anyio.current_time() + self._lease_seconds
        while claim.state == "running" and anyio.current_time() < min(deadline, until):
            await anyio.sleep(delay)
            delay = min(2 * delay, _LONGEST_LOOK_SECONDS)
            with suppress(CallKeysError):
                claim = await anyio.to_thread.run_sync(look)
                until = anyio.current_time() + self._lease_seconds
        if claim.state == "new":
            self._begin(key, _KeyedCall(call_id, arguments))
        return claim

    def adopt(self, key: str, arguments: str, call_id: str) -> Callable[[], Awaitable[None]]:
        """Keep the result of a call that is made although keys cannot be used; its key is taken when they can.

        Returns:
            A function to call before the request is sent. It raises a BlaxelError if the key is another call's by then.
        """
        call = _KeyedCall(call_id, arguments, has_key=None)
        self._begin(key, call)

        async def confirm() -> None:
            with suppress(CallKeysError):
                await anyio.to_thread.run_sync(self._take_late, key, call)
            if call.has_key is False:
                raise BlaxelError(
                    f"The call was not sent: another process has begun a call with this key ({CALL_KEY}, or the "
                    "client's own id of the call).",
                    code="busy",
                    hint="Repeat it with the same key: it then gets the result of that call, and is not billed again.",
                    retryable=True,
                )

        return confirm

    async def finish(self, key: str, call_id: str, result: types.CallToolResult | types.InputRequiredResult) -> None:
        """Store the result of a call; a call that failed and was not billed may be made again with the same key.

        So may one that asks for a person's consent: the client repeats it with the answer and the same key.
        """
        billed = (result.meta or {}).get(ERROR_KEY, {}).get("billed", "yes")
        is_unpaid = isinstance(result, types.InputRequiredResult) or (result.is_error and billed == "no")
        text = None if is_unpaid else result.model_dump_json(by_alias=True, exclude_none=True)
        with self._lock:
            call = self._calls.setdefault(key, _KeyedCall(call_id, ""))
            if call.call_id != call_id:
                # While keys could not be used, a call with other arguments has taken this one.
                return
            call.result, call.has_ended = text, True
            space = _UNSENT_CHARS
            for each, unsent in reversed([*self._calls.items()]):
                if unsent.has_ended:
                    space -= max(_MIN_UNSENT_CHARS, len(unsent.result or ""))
                    if space < 0:
                        del self._calls[each]
        was_away, self._is_away = self._is_away, not await anyio.to_thread.run_sync(self._try_to_send, key)
        if self._is_away and not was_away:
            logger.warning("the result of a call is not kept yet for repeated calls; trying again")

    def close(self) -> None:
        """Stop renewing, send what is not sent yet if keys can be used, and close them. It blocks."""
        self._heartbeat.stop()
        self._send_all()
        self._keys.close()

    def _begin(self, key: str, call: _KeyedCall) -> None:
        with self._lock:
            self._calls[key] = call
        self._heartbeat.start()

    def _beat(self) -> None:
        self._send_all()
        with self._lock:
            running = dict(self._calls)
        try:
            for key in self._keys.renew({key: call.call_id for key, call in running.items()}) if running else ():
                running[key].has_key = None
            for key, call in running.items():
                self._take_late(key, call)
        except CallKeysError as error:
            logger.debug("the keys of running calls are not renewed: %s", error)

    def _send_all(self) -> None:
        for key in tuple(self._calls):
            if not self._try_to_send(key):
                # The others would fail too, each after seconds.
                break

    def _try_to_send(self, key: str) -> bool:
        """Keep the result of a call under its key, or release the key without one; return whether that is done."""
        call = self._calls.get(key)
        if call is None or not call.has_ended:
            return True
        try:
            if call.result is None:
                self._keys.release(key, call.call_id)
            elif not self._keys.finish(key, call.call_id, call.result) and call.arguments:
                # It could not be taken, or is lost.
                self._keys.claim(key, call.arguments, call.call_id)
                self._keys.finish(key, call.call_id, call.result)
        except CallKeysError as error:
            logger.debug("a key cannot be used: %s", error)
            return False
        with self._lock:
            # Two threads may send the same end, and a new call may have the key by then.
            if self._calls.get(key) is call:
                del self._calls[key]
        return True

    def _take_late(self, key: str, call: _KeyedCall) -> None:
        """Take the key of a running call that has none; if it is another call's by now, that one keeps it."""
        if call.has_key is None and not call.has_ended:
            call.has_key = self._keys.claim(key, call.arguments, call.call_id).call_id == call.call_id
            if call.is_unpaid:
                # It has been released meanwhile.
                self._keys.release(key, call.call_id)


def client_key(meta: Mapping[str, Any]) -> str | None:
    """Return the client's own id of a tool call; None if it sent none."""
    ids = map(meta.get, sorted(CLIENT_KEYS))
    return next((text for text in ids if isinstance(text, str) and 0 < len(text) <= _MAX_KEY_CHARS), None)


def key_of(arguments: Mapping[str, Any], sent: str | None) -> str | None:
    """Return the key of a call of `run_model`, given its valid arguments and what its client sent; None without one.

    An agent sets the argument on purpose, so it takes precedence.
    """
    if arguments.get("dry_run"):
        return None
    own_key = arguments.get(CALL_KEY)
    return f"{OWN_KEY}{own_key}" if own_key else sent and f"client {sent}"


def key_digest(owner: str, workspace: str | None, key: str) -> str:
    """Return the digest under which a key is stored: it differs for each caller and workspace."""
    return hashlib.sha256(json.dumps([owner, workspace, key]).encode()).hexdigest()


def arguments_digest(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return a digest of a tool's name and its arguments."""
    content = {name: value for name, value in arguments.items() if name != CALL_KEY}
    text = json.dumps([tool, content], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def replayed(result: str) -> types.CallToolResult:
    """Return the result of the first call for one that repeats it: its receipt says so, and that it cost nothing."""
    first = types.CallToolResult.model_validate_json(result)
    meta: dict[str, Any] = dict(first.meta or {})
    if receipt := meta.get(RECEIPT_KEY):
        meta[RECEIPT_KEY] = {**receipt, "replayed": True, "cost_usd": 0.0}
    if cost := meta.get("cost"):
        meta["cost"] = {**cost, "usd": 0.0}
    return first.model_copy(update={"meta": meta})


def unreadable_result(call_id: str) -> BlaxelError:
    """Make the error for a call that is done, and whose result is not kept or cannot be decrypted."""
    return BlaxelError(
        f"The first call with this key, {literal(call_id)}, is done, but its result is too large to be kept for a "
        "repetition, or was encrypted with another shared.key.",
        code="not_found",
        hint=f"Try read_result with that call_id; another `{CALL_KEY}` makes the call again, and it is billed again.",
        billed="yes",
    )


def other_arguments(call_id: str) -> BlaxelError:
    """Make the error for a key that was used before, with other arguments."""
    return InvalidArgumentsError(
        f"The key of this call belongs to the call {literal(call_id)}, which had other arguments.",
        hint=f"Use another `{CALL_KEY}` for another call; the same one repeats a call and is not billed again.",
    )
