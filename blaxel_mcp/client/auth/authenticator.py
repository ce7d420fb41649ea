"""Creates the `WorkspaceAuth` of each workspace from the configuration."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from pydantic import SecretStr

from blaxel_mcp.client.auth.credentials import (
    APIKey,
    ClientCredentials,
    Credentials,
    DeviceLogin,
    KeyCommand,
    ResolvedCredentials,
    missing_credentials,
    own_secrets,
    resolve_credentials,
    unusable_credential,
)
from blaxel_mcp.client.auth.flow import TrustedOrigins, WorkspaceAuth
from blaxel_mcp.client.auth.grants import DeviceLoginRenewal, client_credentials_token, stored_login_token
from blaxel_mcp.client.auth.key_command import command_token
from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.token_cache import TokenCache
from blaxel_mcp.client.auth.token_endpoint import EXCHANGE_SECONDS, PostJSON, TokenEndpoint
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value
from blaxel_mcp.core.logs import redact_logs_with
from blaxel_mcp.settings.loading import Configuration


class Authenticator:
    """Signs the requests of every workspace with the credentials that the configuration has for it.

    Attributes:
        redact: Replaces every known secret in some bytes, in any of its encodings, by `[redacted]`.
        partial_secret_length: Returns the length of the longest suffix of some bytes that is a proper prefix of a
            known secret.
        is_trusted: Returns whether a URL has the origin of `run_url`, `api_url` or a trusted URL.
        trust: Trusts a model's own URL, as the control plane returned it: `TrustedOrigins.trust`.
    """

    def __init__(
        self,
        config: Configuration,
        post_json: PostJSON,
        *,
        now: Callable[[], float] = time.time,
        exchange_seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        self._config = config
        self._now = now
        self._secrets = KnownSecrets()
        self.redact = self._secrets.redact
        self.partial_secret_length = self._secrets.partial_secret_length
        redact_logs_with(self._secrets)
        url = f"{config.settings.api_url}/oauth/token"
        self._endpoint = TokenEndpoint(url, post_json, now, exchange_seconds, self._secrets)
        self._trusted = TrustedOrigins(config.settings.run_url, control_plane=config.settings.api_url)
        self.is_trusted, self.trust = self._trusted.is_trusted, self._trusted.trust
        self._auths: dict[str, WorkspaceAuth] = {}
        self._token_caches: dict[Credentials, TokenCache] = {}

    def for_workspace(self, workspace: str) -> WorkspaceAuth:
        """Return the authentication of a workspace's requests; the same object each time.

        Workspaces with the same credentials share their token. Without credentials, requests fail
        before they are sent, with an error that lists what is missing.
        """
        if workspace not in self._auths:
            resolved = resolve_credentials(self._config, workspace)
            if resolved:
                tokens = self._token_cache(resolved)
            else:
                tokens = TokenCache(partial(_no_token, self._config, workspace), now=self._now)
            source = resolved.source if resolved else None
            self._auths[workspace] = WorkspaceAuth(tokens, source=source, trusted=self._trusted)
        return self._auths[workspace]

    async def aclose(self) -> None:
        """Cancel the token exchanges that are in progress."""
        for tokens in self._token_caches.values():
            await tokens.aclose()

    def _token_cache(self, resolved: ResolvedCredentials) -> TokenCache:
        """Return the token of these credentials, created at the first use."""
        if resolved.credentials in self._token_caches:
            return self._token_caches[resolved.credentials]
        for secret in own_secrets(resolved.credentials):
            self._secrets.add(secret)
        fetch: Callable[[], Awaitable[Token]]
        first = None
        match resolved.credentials:
            case APIKey(key):
                fetch = partial(_api_key_token, key, resolved.source)
            case KeyCommand(command):
                fetch = partial(command_token, command, resolved.source, self._secrets)
            case ClientCredentials() as credentials:
                fetch = partial(client_credentials_token, credentials, resolved.source, self._endpoint)
            case DeviceLogin() as login:
                fetch, first = DeviceLoginRenewal(login, resolved.source, self._endpoint), stored_login_token(login)
        tokens = TokenCache(fetch, now=self._now, first=first)
        self._token_caches[resolved.credentials] = tokens
        return tokens


async def _api_key_token(key: SecretStr, source: str) -> Token:
    value = key.get_secret_value().strip()
    if not is_bearer_value(value):
        raise unusable_credential(source)
    return Token(SecretStr(value))


async def _no_token(config: Configuration, workspace: str) -> Token:
    raise missing_credentials(config, workspace)
