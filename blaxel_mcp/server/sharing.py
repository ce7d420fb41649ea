"""What one server shares with others, by `[shared]`: put together once, and closed at the server's end."""

from blaxel_mcp.inference.shared_limits import SharedLimits
from blaxel_mcp.settings.schema import SharedSettings
from blaxel_mcp.shared.state import shared_state


class Sharing:
    """The shared state of one server. Without `shared.url`, nothing of it is made.

    Args:
        settings: `[shared]`.

    Raises:
        ConfigurationError: The extra `redis` is not installed, or there is no key.

    Attributes:
        limits: Counts the calls of all servers; None if nothing is shared.
    """

    def __init__(self, settings: SharedSettings) -> None:
        self._state = state = shared_state(settings)
        self.limits = SharedLimits(state.engine, state.lease_seconds) if state else None

    def close(self) -> None:
        """Stop renewing what this server holds, and close the connections. It blocks."""
        if self._state and self.limits:
            self.limits.close()
            self._state.engine.close()


ALONE = Sharing(SharedSettings())
"""Nothing is shared."""
