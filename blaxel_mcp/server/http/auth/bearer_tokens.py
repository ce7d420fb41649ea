"""What lets a caller over HTTP in: the static tokens of the settings, or a Blaxel key of the caller's own."""

import hashlib
import hmac
from collections.abc import Iterator

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, Credentials
from blaxel_mcp.client.auth.secret_values import own_secrets
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration

MIN_TOKEN_CHARS = 16
"""A shorter token is found by trying; 32 characters of `openssl rand -hex 16` are not."""

_LABEL_CHARS = 16


class BearerTokens:
    """The tokens of `http.bearer_tokens`; each of them is a caller.

    Args:
        config: The settings with the tokens, and the credentials that no token may equal.

    Raises:
        ConfigurationError: there is none, or one of them can be guessed, cannot be sent, or is a Blaxel credential.
    """

    def __init__(self, config: Configuration) -> None:
        values = [token.get_secret_value().strip() for token in config.settings.http.bearer_tokens]
        if not values:
            raise ConfigurationError(
                'http.auth is "token", and http.bearer_tokens has none.',
                hint="Put at least one there, such as the output of `openssl rand -hex 32`.",
            )
        taken = set(_blaxel_secrets(config))
        for number, value in enumerate(values):
            _check(value, f"http.bearer_tokens[{number}]", taken)
        self._identities = [(value.encode(), f"token-{_digest('token', value)[:_LABEL_CHARS]}") for value in values]

    def identity_of(self, offered: str) -> str | None:
        """Who comes with a token: a label that does not give it away; None for nobody."""
        found = None
        for token, identity in self._identities:
            # All of them are compared, so that the time taken says nothing about which one is near.
            if hmac.compare_digest(token, offered.encode()):
                found = identity
        return found


def brought_identity(workspace: str, credential: str) -> str:
    """Who comes with a workspace and a Blaxel credential of its own; another of either is somebody else."""
    return f"caller-{_digest('caller', workspace, credential)}"


def _check(value: str, where: str, taken: set[str]) -> None:
    if not is_bearer_value(value):
        raise ConfigurationError(
            f"{where} cannot be sent: it is empty or holds a space, a line break or a character that is not ASCII.",
            hint="Use letters and digits, such as the output of `openssl rand -hex 32`.",
        )
    if len(value) < MIN_TOKEN_CHARS:
        raise ConfigurationError(
            f"{where} has fewer than {MIN_TOKEN_CHARS} characters and can be guessed.",
            hint="Make a longer one, such as the output of `openssl rand -hex 32`.",
        )
    if value in taken:
        raise ConfigurationError(
            f"{where} is a Blaxel credential as well: every caller would hold it, and could use it without this "
            "server.",
            hint="Make a token for callers alone, such as the output of `openssl rand -hex 32`.",
        )


def _blaxel_secrets(config: Configuration) -> Iterator[str]:
    settings = config.settings
    held: list[Credentials] = []
    for key, client in (
        (settings.api_key, settings.client_credentials),
        *((entry.api_key, entry.client_credentials) for entry in config.login.entries.values()),
    ):
        held += [APIKey(key)] if key else []
        held += [ClientCredentials(client)] if client else []
    for credentials in held:
        yield from own_secrets(credentials)
    for entry in config.login.entries.values():
        for token in (entry.access_token, entry.refresh_token):
            if token:
                yield token.get_secret_value().strip()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(("blaxel-mcp", *parts)).encode()).hexdigest()
