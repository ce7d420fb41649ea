"""Signs requests to Blaxel, only those to trusted origins, with the credentials that the configuration has."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import lru_cache, partial

import httpx
from pydantic import SecretStr

from blaxel_mcp.client.auth.credentials import (
    APIKey,
    ClientCredentials,
    Credentials,
    KeyCommand,
    ResolvedCredentials,
    missing_credentials,
    own_secrets,
    resolve_credentials,
)
from blaxel_mcp.client.auth.key_command import command_token
from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.token_endpoint import (
    EXCHANGE_SECONDS,
    LoginTokens,
    PostJSON,
    TokenEndpoint,
    read_again,
    static_token,
    stored_token_of,
)
from blaxel_mcp.client.auth.tokens import Token, TokenCache
from blaxel_mcp.client.connecting import WebOrigin, origin_of
from blaxel_mcp.client.request import parsed_url
from blaxel_mcp.core.hosts import is_internal, is_loopback
from blaxel_mcp.core.logs import redact_logs_with
from blaxel_mcp.settings.loading import Configuration

AUTH_HEADER = "X-Blaxel-Authorization"

# Blaxel answers 401 to a request with a dummy Authorization, even if its own header is valid. So the
# adapters in its SDKs strip the one that a provider's library adds, and so does this one.
_AUTH_HEADERS = (AUTH_HEADER, "Authorization")


class WorkspaceAuth:
    """The authentication of one workspace's requests, created by `Authenticator`.

    A request to a trusted origin is sent with exactly one authentication header, any other with none.

    Attributes:
        source: The label of the credentials' source; None without credentials.
        tokens: Their token.
    """

    def __init__(self, tokens: TokenCache, *, source: str | None, trusted: "TrustedOrigins") -> None:
        self.source = source
        self.tokens = tokens
        self._trusted = trusted

    async def sign(self, request: httpx.Request) -> None:
        """Set the authentication header of a request to a trusted origin; raises BlaxelError if there is no token."""
        for name in _AUTH_HEADERS:
            if name in request.headers:
                del request.headers[name]
        origin = origin_of(request.url)
        if origin in self._trusted.origins:
            if origin in self._trusted.remote:
                request.extensions["must_be_public"] = True
            request.headers[AUTH_HEADER] = f"Bearer {(await self.tokens.get()).get_secret_value()}"

    async def check(self) -> float:
        """Return when a request's token expires, in seconds since the epoch, infinite if unknown; raises as `sign`."""
        await self.tokens.get()
        return self.tokens.expires_at

    async def renew(self, request: httpx.Request) -> bool:
        """Return whether a request that Blaxel answered with 401 can be retried with another token.

        Callers whose requests were rejected with the same token share one renewal; raises BlaxelError if it fails.
        """
        _, _, rejected = request.headers.get(AUTH_HEADER, "").partition(" ")
        return bool(rejected) and await self.tokens.renew(SecretStr(rejected))


class TrustedOrigins:
    """The origins whose requests are signed: those of URLs from the settings, and of trusted ones.

    Attributes:
        origins: All of them.
        remote: Those of URLs that a control plane beyond loopback returned. Their names must not resolve to addresses
            of this machine or its network.
    """

    def __init__(self, *urls: str, control_plane: str) -> None:
        own = _origin(control_plane)
        self._is_local = own is not None and is_loopback(own.host)
        self.origins = {own, *map(_origin, urls)} - {None}
        self.remote: set[WebOrigin] = set()

    def trust(self, url: str) -> None:
        """Add the origin of a URL that Blaxel returned: https to a public host, or loopback if Blaxel is there too."""
        origin = _origin(url)
        if origin is None or origin in self.origins:
            return
        is_allowed = self._is_local or not is_internal(origin.host)
        if is_allowed and (origin.scheme == "https" or is_loopback(origin.host)):
            self.origins.add(origin)
            if not self._is_local:
                self.remote.add(origin)

    def is_trusted(self, url: str) -> bool:
        """Return whether the URL has one of these origins."""
        origin = _origin(url)
        return origin is not None and origin in self.origins


@lru_cache(maxsize=64)
def _origin(url: str) -> WebOrigin | None:
    try:
        return origin_of(parsed_url(url))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        return None


class Authenticator:
    """Signs the requests of every workspace with the credentials that the configuration has for it.

    Attributes:
        redact, partial_secret_length: Those of `KnownSecrets`.
        is_trusted, trust: Those of `TrustedOrigins`, which begin with `run_url` and `api_url`.
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
        redact_logs_with(self._secrets.redact_text)
        url = f"{config.settings.api_url}/oauth/token"
        self._endpoint = TokenEndpoint(url, post_json, now, exchange_seconds, self._secrets)
        self._trusted = TrustedOrigins(config.settings.run_url, control_plane=config.settings.api_url)
        self.is_trusted, self.trust = self._trusted.is_trusted, self._trusted.trust
        self._auths: dict[str, WorkspaceAuth] = {}
        self._token_caches: dict[Credentials, TokenCache] = {}

    def for_workspace(self, workspace: str) -> WorkspaceAuth:
        """Return the authentication of a workspace's requests; the same object each time.

        Workspaces with the same credentials share their token. Without credentials, requests fail before they are sent.
        """
        if workspace not in self._auths:
            resolved = resolve_credentials(self._config, workspace)
            tokens = (
                self._token_cache(resolved)
                if resolved
                else TokenCache(partial(self._token_of_later_login, workspace), now=self._now)
            )
            source = resolved.source if resolved else None
            self._auths[workspace] = WorkspaceAuth(tokens, source=source, trusted=self._trusted)
        return self._auths[workspace]

    async def aclose(self) -> None:
        """Cancel the token exchanges that are in progress."""
        for tokens in {*self._token_caches.values(), *(auth.tokens for auth in self._auths.values())}:
            await tokens.aclose()

    def _token_cache(self, resolved: ResolvedCredentials) -> TokenCache:
        """Return the token of these credentials, created at the first use."""
        if resolved.credentials in self._token_caches:
            return self._token_caches[resolved.credentials]
        for secret in own_secrets(resolved.credentials):
            self._secrets.add(secret)
        fetch: Callable[[], Awaitable[Token]]
        match resolved.credentials:
            case KeyCommand(command):
                fetch = partial(command_token, command, resolved.source, self._secrets)
            case APIKey() | ClientCredentials() as credentials if resolved.login_workspace is None:
                fetch = partial(static_token, credentials, resolved.source, self._endpoint)
            case _:
                fetch = LoginTokens(resolved, self._config.login, self._endpoint)
        tokens = TokenCache(fetch, now=self._now, first=stored_token_of(resolved.credentials))
        self._token_caches[resolved.credentials] = tokens
        return tokens

    async def _token_of_later_login(self, workspace: str) -> Token:
        """Return a token with the credentials of a `bl login` since the start; raises ConfigurationError if none."""
        config = replace(self._config, login=await read_again(self._config.login))
        resolved = resolve_credentials(config, workspace)
        if resolved is None:
            raise missing_credentials(config, workspace)
        auth, tokens = self._auths[workspace], self._token_cache(resolved)
        auth.source, auth.tokens = resolved.source, tokens
        return Token(await tokens.get())
