"""Static bearer tokens of HTTP callers, and the identities that callers get."""

import hashlib
import hmac

from blaxel_mcp.client.auth.credentials import all_credentials, own_secrets
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration

MIN_TOKEN_CHARS = 16
"""Minimum length of a token: a shorter one could be guessed by trying."""

_IDENTITY_CHARS = 16


class BearerTokens:
    """The tokens of `http.bearer_tokens`: each is a caller, and none may be a Blaxel credential.

    Raises:
        ConfigurationError: there are no tokens, or one of them is too short, not a valid header value, or a Blaxel
            credential.
    """

    def __init__(self, config: Configuration) -> None:
        tokens = [token.get_secret_value().strip() for token in config.settings.http.bearer_tokens]
        if not tokens:
            raise ConfigurationError(
                'http.auth is "token", but http.bearer_tokens is empty.',
                hint="Add at least one token, such as the output of `openssl rand -hex 32`.",
            )
        blaxel_secrets = {secret for credentials in all_credentials(config) for secret in own_secrets(credentials)}
        for number, token in enumerate(tokens):
            _require_safe_token(token, f"http.bearer_tokens[{number}]", blaxel_secrets)
        self._identities = [(token.encode(), f"token-{_digest('token', token)[:_IDENTITY_CHARS]}") for token in tokens]

    def identity_of(self, token: str) -> str | None:
        """Return the identity of the caller with a token, which does not reveal the token; None for an unknown one."""
        matching = None
        for known, identity in self._identities:
            # Compare with all of them, so that the time taken does not depend on which one matches.
            if hmac.compare_digest(known, token.encode()):
                matching = identity
        return matching


def passthrough_identity(workspace: str, credential: str) -> str:
    """Return the identity of a caller with a Blaxel credential of its own: one for each workspace and credential."""
    return f"caller-{_digest('caller', workspace, credential)}"


def _require_safe_token(token: str, name: str, blaxel_secrets: set[str]) -> None:
    """Raise a ConfigurationError for a token that `http.bearer_tokens` must not have."""
    if not is_bearer_value(token):
        raise ConfigurationError(
            f"{name} is not a valid token: it is empty, or contains a space, a line break or a non-ASCII character.",
            hint="Use letters and digits, such as the output of `openssl rand -hex 32`.",
        )
    if len(token) < MIN_TOKEN_CHARS:
        raise ConfigurationError(
            f"{name} has fewer than {MIN_TOKEN_CHARS} characters and could be guessed.",
            hint="Use a longer one, such as the output of `openssl rand -hex 32`.",
        )
    if token in blaxel_secrets:
        raise ConfigurationError(
            f"{name} is a Blaxel credential: every caller would have it, and could use it without this server.",
            hint="Use a token that is only for callers, such as the output of `openssl rand -hex 32`.",
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(("blaxel-mcp", *parts)).encode()).hexdigest()
