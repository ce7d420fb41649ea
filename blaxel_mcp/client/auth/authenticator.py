"""Which credentials sign which workspace's requests: the parts of this package put together."""

import time
from collections.abc import Callable
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
    resolve_credentials,
)
from blaxel_mcp.client.auth.flow import TrustedOrigins, WorkspaceAuth
from blaxel_mcp.client.auth.grants import DeviceLoginRenewal, client_credentials_token, stored_login_token
from blaxel_mcp.client.auth.key_command import command_token
from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.secret_values import own_secrets
from blaxel_mcp.client.auth.token_cache import StaticToken, TokenCache, TokenSource
from blaxel_mcp.client.auth.token_endpoint import EXCHANGE_SECONDS, PostJSON, TokenEndpoint
from blaxel_mcp.core.logs import keep_out
from blaxel_mcp.settings.loading import Configuration


class Authenticator:
    """Signs the requests of every workspace, each with the credentials that the configuration gives it.

    Args:
        config: The settings and the login file.
        post_json: Reaches the token endpoint.
        now: The clock, in seconds since the epoch.
        exchange_seconds: How long the token endpoint may take.
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
        keep_out(self._secrets)
        url = f"{config.settings.api_url}/oauth/token"
        self._endpoint = TokenEndpoint(url, post_json, now, exchange_seconds, self._secrets)
        self._trusted = TrustedOrigins(config.settings.run_url, config.settings.api_url)
        self._auths: dict[str, WorkspaceAuth] = {}
        self._tokens: dict[Credentials, TokenSource] = {}

    def for_workspace(self, workspace: str) -> WorkspaceAuth:
        """Return what signs a workspace's requests; the same object each time.

        Workspaces with the same credentials share their token. Without credentials there is
        an object too: its requests fail with what is missing, before anything is sent.
        """
        if workspace not in self._auths:
            self._auths[workspace] = self._auth(workspace)
        return self._auths[workspace]

    def trust(self, url: str) -> None:
        """Let requests to this URL's origin be signed; plain http counts on this machine only.

        Args:
            url: A model's own URL as the control plane gave it.
        """
        self._trusted.trust(url)

    def is_trusted(self, url: str) -> bool:
        """Tell whether the URL has the origin of `run_url`, `api_url` or a trusted URL."""
        return self._trusted.is_trusted(url)

    def redact(self, data: bytes) -> bytes:
        """Return the bytes with every secret of ours, plain or escaped as in JSON, as `[redacted]`."""
        return self._secrets.redact(data)

    def begun_in(self, data: bytes) -> int:
        """How many bytes at the end of data that goes on may be the beginning of a secret of ours."""
        return self._secrets.begun_in(data)

    async def aclose(self) -> None:
        """Stop the token exchanges under way."""
        for tokens in self._tokens.values():
            await tokens.aclose()

    def _auth(self, workspace: str) -> WorkspaceAuth:
        resolved = resolve_credentials(self._config, workspace)
        tokens = self._tokens_for(resolved) if resolved is not None else None
        source = resolved.source if resolved is not None else None
        missing = partial(missing_credentials, self._config, workspace)
        return WorkspaceAuth(tokens, source=source, is_trusted=self._trusted.is_trusted, missing=missing)

    def _tokens_for(self, resolved: ResolvedCredentials) -> TokenSource:
        if resolved.credentials not in self._tokens:
            self._tokens[resolved.credentials] = self._new_tokens(resolved)
        return self._tokens[resolved.credentials]

    def _new_tokens(self, resolved: ResolvedCredentials) -> TokenSource:
        for secret in own_secrets(resolved.credentials):
            self._secrets.keep(secret)
        match resolved.credentials:
            case APIKey(key):
                return StaticToken(SecretStr(key.get_secret_value().strip()))
            case KeyCommand(command):
                return TokenCache(partial(command_token, command, resolved.source, self._secrets), now=self._now)
            case ClientCredentials() as credentials:
                grant = partial(client_credentials_token, credentials, resolved.source, self._endpoint)
                return TokenCache(grant, now=self._now)
            case DeviceLogin() as login:
                renewal = DeviceLoginRenewal(login, resolved.source, self._endpoint)
                return TokenCache(renewal, now=self._now, first=stored_login_token(login))
