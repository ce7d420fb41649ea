"""Where a request's bearer token comes from: a key as it is, or one renewal for all who need it."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from pydantic import SecretStr

from blaxel_mcp.client.auth.tokens import Token
from blaxel_mcp.core.exceptions import BlaxelError

_log = logging.getLogger(__name__)

# While the endpoint is down and the old token is still good, only some of the calls pay for another attempt.
RENEWAL_PAUSE_SECONDS = 30.0


class TokenSource(Protocol):
    """Where a request's bearer token comes from."""

    async def get(self) -> SecretStr:
        """Return a token that is good now; raises BlaxelError when none can be had."""

    async def renew(self, rejected: SecretStr) -> bool:
        """Tell whether `get` now gives another token than the one that Blaxel rejected."""

    @property
    def expires_at(self) -> float:
        """Until when the token at hand is good, in seconds since the epoch; infinite where nothing is known."""

    async def aclose(self) -> None:
        """Stop an exchange under way."""


class StaticToken:
    """A token that is what it is: an API key."""

    def __init__(self, value: SecretStr) -> None:
        self._value = value

    async def get(self) -> SecretStr:
        """Return the key."""
        return self._value

    async def renew(self, _rejected: SecretStr) -> bool:
        """Return False: there is no other key."""
        return False

    @property
    def expires_at(self) -> float:
        """No time: a key does not tell."""
        return math.inf

    async def aclose(self) -> None:
        """Do nothing: no exchange is ever under way."""


class TokenCache:
    """One current token for any number of concurrent callers.

    A renewal runs in a task of its own, which all who need it wait for. So a caller that is
    cancelled leaves it to the others, and the one reply that holds a new refresh token is not
    lost with the caller.

    Args:
        fetch: Obtains a new token; raises BlaxelError. It never runs twice at once.
        now: The clock, in seconds since the epoch.
        first: A token to begin with.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Token]], *, now: Callable[[], float], first: Token | None = None
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._current = first
        self._renewal: asyncio.Task[Token] | None = None
        # The rejected token that a renewal brought again, and until when that is not tried once more.
        self._unchanged: SecretStr | None = None
        self._unchanged_until = -math.inf

    async def get(self) -> SecretStr:
        """Return the current token, renewed when its time has come.

        When an early renewal fails in passing, the old token serves for as long as it is valid.

        Raises:
            BlaxelError: No valid token can be had; all who waited for one attempt share its failure.
        """
        current = self._current
        if current is not None and self._now() < current.renew_at:
            return current.value
        try:
            return (await self._renewed()).value
        except BlaxelError as error:
            if current is None or not _is_passing(error) or self._now() >= current.expires_at:
                raise
            self._postpone(current, error)
            return current.value

    async def renew(self, rejected: SecretStr) -> bool:
        """Tell whether `get` now gives another token than the rejected one, after a renewal if need be.

        Raises:
            BlaxelError: The renewal failed.
        """
        if self._current is not None and self._current.value != rejected:
            return True
        if rejected == self._unchanged and self._now() < self._unchanged_until:
            return False
        renewed = await self._renewed()
        if renewed.value != rejected:
            return True
        self._unchanged, self._unchanged_until = rejected, self._now() + RENEWAL_PAUSE_SECONDS
        return False

    @property
    def expires_at(self) -> float:
        """The current token's time; infinite where there is none yet."""
        return math.inf if self._current is None else self._current.expires_at

    async def aclose(self) -> None:
        """Stop a renewal under way and wait for its end."""
        if self._renewal is not None and self._renewal.cancel():
            await asyncio.wait([self._renewal])

    async def _renewed(self) -> Token:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(_note_outcome)
        renewal = self._renewal
        # `wait` leaves the task alone when the caller is cancelled, and unlike `shield` it reports nothing then.
        await asyncio.wait([renewal])
        return renewal.result()

    async def _renew(self) -> Token:
        self._current = await self._fetch()
        return self._current

    def _postpone(self, token: Token, error: BlaxelError) -> None:
        if self._current is token:
            retry_at = min(self._now() + RENEWAL_PAUSE_SECONDS, token.expires_at)
            self._current = replace(token, renew_at=retry_at)
            _log.warning("An early renewal of the access token failed (%s); the old one is still used.", error.code)


def _is_passing(error: BlaxelError) -> bool:
    return error.retryable or error.code in {"network_error", "timeout"}


def _note_outcome(renewal: asyncio.Task[Token]) -> None:
    # A failure that every caller stopped waiting for would be reported by asyncio as forgotten.
    if not renewal.cancelled():
        renewal.exception()
