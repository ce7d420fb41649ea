"""The state that a server shares with others, by `[shared]`: built once, and closed at the server's end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.to_thread

from blaxel_mcp.budget.shared.engine import TAG, SharedStateError
from blaxel_mcp.budget.shared.state import shared_state
from blaxel_mcp.inference.shared_limits import SharedLimits
from blaxel_mcp.settings.limits import SharedSettings
from blaxel_mcp.tools.paid_once import PaidOnce
from blaxel_mcp.tools.shared_calls import SharedCalls
from blaxel_mcp.tools.store.call_keys import LocalKeys, SharedKeys, default_keys
from blaxel_mcp.tools.store.stored_answers import SharedAnswers

_CANCELLED_REQUESTS = f"{TAG}:cancelled-requests"


class Sharing:
    """The shared state of one server; empty without `shared.url`.

    Raises:
        ConfigurationError: The extra `redis` is not installed.

    Attributes:
        limits: Counts the calls of all servers; None if nothing is shared.
        calls: The handed-back calls of all servers; None if nothing is shared.
    """

    def __init__(self, settings: SharedSettings) -> None:
        self._state = state = shared_state(settings)
        self.limits = SharedLimits(state.engine, state.lease_seconds) if state else None
        self.calls = SharedCalls(state) if state else None

    @property
    def state_key(self) -> bytes | None:
        """The key that seals the state which clients return with a person's answer; None if nothing is shared."""
        return self._state.cipher.subkey("request state") if self._state else None

    def answers(self, owner: str) -> SharedAnswers | None:
        """Return the answers of one caller on all servers; None if nothing is shared."""
        return SharedAnswers(self._state, owner) if self._state else None

    def paid_once(self) -> PaidOnce:
        """Return the registry of calls with a key: of all servers, or of this machine if nothing is shared."""
        if self._state:
            return PaidOnce(SharedKeys(self._state), self._state.lease_seconds)
        return PaidOnce(LocalKeys(default_keys()))

    async def cancel_requests(self, key: bytes) -> None:
        """Cancel the requests with a key on the other servers. A client names its own requests by it."""
        if self._state:
            # The client can cancel again when the engine is back.
            with suppress(SharedStateError):
                await anyio.to_thread.run_sync(self._state.engine.publish, _CANCELLED_REQUESTS, key)

    async def obey(self, cancel: Callable[[bytes], object]) -> None:
        """Call a function, on the event loop of this call, with each key that another server wants cancelled."""
        if self._state:
            loop = asyncio.get_running_loop()
            receivers = {_CANCELLED_REQUESTS: lambda key: loop.call_soon_threadsafe(cancel, key)}
            await anyio.to_thread.run_sync(self._state.engine.listen, receivers)

    def close(self) -> None:
        """Stop renewing leases, and close the connections. It blocks."""
        if self._state and self.limits and self.calls:
            self.limits.close()
            self.calls.close()
            self._state.engine.close()


ALONE = Sharing(SharedSettings())
"""Nothing is shared."""
