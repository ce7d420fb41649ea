"""The bearer token of one set of credentials, with one renewal for all callers.

The MCP SDK's OAuth client (`mcp/client/auth/oauth2.py`) renews inside one caller's request and holds its lock
across it. Cancelling that request loses the reply with the new refresh token. Here the renewal is a task of its own.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pydantic import SecretStr

from blaxel_mcp.client.auth.tokens import Token
from blaxel_mcp.core.exceptions import BlaxelError

_log = logging.getLogger(__name__)

RENEWAL_PAUSE_SECONDS = 30.0
"""Pause after a failed early renewal, so that few calls wait for an endpoint that is down."""


class TokenCache:
    """One current token for any number of concurrent callers.

    All callers wait for one renewal, which runs in a task of its own: `fetch` obtains a new token, or a key once more,
    or raises BlaxelError. A cancelled caller leaves it to the others, so the reply with the new refresh token is not
    lost.
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
        """Return whether `get` now returns another token than the rejected one, after a renewal if necessary.

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
