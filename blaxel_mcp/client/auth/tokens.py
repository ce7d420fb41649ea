"""Access tokens: their lifetime, the time to renew them, and one renewal for all callers."""

import asyncio
import base64
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from blaxel_mcp.core.exceptions import BlaxelError

_log = logging.getLogger(__name__)

RENEWAL_MARGIN_SECONDS = 600.0
"""The default timeout of a call, whose token must not expire while it runs; Blaxel's Python SDK has the same margin."""

DEFAULT_LIFETIME_SECONDS = 7200.0
"""The lifetime that Blaxel documents for access tokens, for a reply without one."""

RENEWAL_PAUSE_SECONDS = 30.0
"""Pause after a failed early renewal, so that few calls wait for an endpoint that is down."""

_MAX_PLAUSIBLE_SECONDS = 1e11
_JWT_PARTS = 3
_BEARER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; times are in seconds since the epoch, infinite if unknown."""

    value: SecretStr
    renew_at: float = math.inf
    expires_at: float = math.inf


def is_bearer_value(value: str) -> bool:
    """Return whether the value can be sent in a header: visible ASCII, at least one character."""
    return _BEARER_VALUE.fullmatch(value) is not None


def stored_token(value: str) -> Token:
    """Return a token from disk; its lifetime is in its JWT claims, otherwise unknown."""
    issued, expires = _claimed_times(value)
    if expires is None:
        return Token(SecretStr(value))
    lifetime = expires - issued if issued is not None and issued < expires else math.inf
    return Token(SecretStr(value), expires - _margin(lifetime), expires)


def issued_token(value: str, expires_in: object, asked_at: float) -> Token:
    """Return a token that was requested at `asked_at`, whose reply had `expires_in`, any JSON value.

    Without a plausible one, its lifetime is in its JWT claims.
    """
    lifetime = _seconds(expires_in)
    if lifetime is None:
        issued, expires = _claimed_times(value)
        # The difference of the token's own two times does not depend on this machine's clock.
        lifetime = None if expires is None else _seconds(expires - (asked_at if issued is None else issued))
    lifetime = lifetime or DEFAULT_LIFETIME_SECONDS
    expires_at = asked_at + lifetime
    return Token(SecretStr(value), expires_at - _margin(lifetime), expires_at)


def json_object(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the bytes; an empty one if they are anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _margin(lifetime: float) -> float:
    return min(RENEWAL_MARGIN_SECONDS, lifetime / 2)


def _claimed_times(value: str) -> tuple[float | None, float | None]:
    """Return the `iat` and `exp` of a JWT, unverified: they only decide when to renew it."""
    parts = value.split(".")
    if len(parts) != _JWT_PARTS:
        return None, None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None, None
    claims = json_object(payload)
    return _seconds(claims.get("iat")), _seconds(claims.get("exp"))


def _seconds(value: object) -> float | None:
    """Return a JSON value that is a plausible number of seconds; None for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MAX_PLAUSIBLE_SECONDS:
        return None
    return float(value)


class TokenCache:
    """One current token for any number of concurrent callers.

    All callers wait for one renewal, which runs in a task of its own: `fetch` obtains a new token, or a key once more,
    or raises BlaxelError. A cancelled caller leaves it to the others. The MCP SDK's OAuth client renews inside one
    caller's request (`mcp/client/auth/oauth2.py`), and cancelling that loses the reply with the new refresh token.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Token]], *, now: Callable[[], float], first: Token | None = None
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._current = first
        self._renewal: asyncio.Task[Token] | None = None
        # The rejected token that the last renewal returned again, and until when another one is pointless.
        self._unchanged: SecretStr | None = None
        self._unchanged_until = -math.inf

    async def get(self) -> SecretStr:
        """Return the current token, renewed if it is due.

        If an early renewal fails temporarily, the old token is used for as long as it is valid.

        Raises:
            BlaxelError: There is no valid token; all callers that waited for one renewal share its error.
        """
        current = self._current
        if current is not None and self._now() < current.renew_at:
            return current.value
        try:
            return (await self._renewed()).value
        except BlaxelError as error:
            temporary = error.retryable or error.code in {"network_error", "timeout"}
            if current is None or not temporary or self._now() >= current.expires_at:
                raise
            if self._current is current:
                retry_at = min(self._now() + RENEWAL_PAUSE_SECONDS, current.expires_at)
                self._current = replace(current, renew_at=retry_at)
                _log.warning(
                    "An early renewal of the access token failed (%s); the old token is still used", error.code
                )
            return current.value

    async def renew(self, rejected: SecretStr) -> bool:
        """Return whether `get` returns another token than the rejected one, renewed if needed; raises as `get`."""
        if self._current is not None and self._current.value != rejected:
            return True
        # A clock that was set back must not make the pause longer.
        if rejected == self._unchanged and 0 < self._unchanged_until - self._now() <= RENEWAL_PAUSE_SECONDS:
            return False
        renewed = await self._renewed()
        if renewed.value != rejected:
            return True
        self._unchanged, self._unchanged_until = rejected, self._now() + RENEWAL_PAUSE_SECONDS
        return False

    @property
    def expires_at(self) -> float:
        """The current token's expiry; infinite if there is no token yet."""
        return math.inf if self._current is None else self._current.expires_at

    async def aclose(self) -> None:
        """Cancel the renewal that is in progress and wait for its end."""
        if self._renewal is not None and self._renewal.cancel():
            await asyncio.wait([self._renewal])

    async def _renewed(self) -> Token:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            # Retrieve the exception: otherwise asyncio reports it if no caller waits any longer.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        renewal = self._renewal
        # `wait` leaves the task running when the caller is cancelled, and unlike `shield` it reports nothing then.
        await asyncio.wait([renewal])
        return renewal.result()

    async def _renew(self) -> Token:
        self._current = await self._fetch()
        return self._current
