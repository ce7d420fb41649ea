"""The shared state of a server: its engine, and the settings of leases and encryption."""

from dataclasses import dataclass

from blaxel_mcp.budget.shared.cipher import Cipher
from blaxel_mcp.budget.shared.engine import Engine
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.limits import SharedSettings


@dataclass(frozen=True, slots=True, eq=False)
class SharedState:
    """The shared state of one server, which closes the engine at its end."""

    engine: Engine
    cipher: Cipher
    lease_seconds: float


def shared_state(settings: SharedSettings) -> SharedState | None:
    """Return the shared state of a server; None if the settings name no engine. Nothing is connected yet.

    Raises:
        ConfigurationError: The extra `redis` is not installed, or there is no key.
    """
    if settings.url is None:
        return None
    if settings.key is None:
        raise ConfigurationError(
            "shared.url is set, and shared.key, which encrypts what is kept there, is not.",
            hint="Set it to the output of `openssl rand -hex 32`, the same for each server.",
        )
    return SharedState(Engine(settings.url), Cipher(settings.key), settings.lease_seconds)
