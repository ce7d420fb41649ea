"""Authentication of HTTP callers: one class for each `http.auth` mode."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr
from starlette.datastructures import Headers

from blaxel_mcp.client.auth.credentials import all_credentials, own_secrets
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.server.callers import ANYONE, Caller
from blaxel_mcp.server.http.address import Address
from blaxel_mcp.server.http.auth.jwks import IssuerKeys, KeysUnavailableError
from blaxel_mcp.server.http.auth.oauth import JwtVerifier, TokenRefusedError, metadata_url
from blaxel_mcp.server.http.errors import RefusedError, unauthorized
from blaxel_mcp.settings.loading import Configuration

CREDENTIAL_HEADER, WORKSPACE_HEADER = "X-Blaxel-Authorization", "X-Blaxel-Workspace"

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""A workspace name. It becomes a part of a URL's path, so it must not be `..`."""

MIN_TOKEN_CHARS = 16
"""Minimum length of a static token: a shorter one could be guessed by trying."""

_IDENTITY_CHARS = 16


class CallerAuth(Protocol):
    """Authenticates a request by its headers.

    Attributes:
        announcement: Names the callers, and the credentials that are used; printed when the server starts.
    """

    announcement: str

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the caller; raises RefusedError for a request that is not authenticated."""


def caller_auth_for(
    config: Configuration, address: Address, *, now: Callable[[], float] = time.monotonic
) -> CallerAuth:
    """Return the authentication that `http.auth` names; raises ConfigurationError for missing or unsafe settings."""
    http = config.settings.http
    match http.auth:
        case "token":
            return TokenAuth(config)
        case "oauth":
            verifier = JwtVerifier(http, IssuerKeys(http, now=now))
            return OAuthTokenAuth(verifier, str(http.issuer), http.scopes, metadata_url(http, address))
        case "caller":
            return PassthroughAuth()
        case "platform":
            return NoAuth("anyone authenticated by the platform in front of this server; your credentials are used")
    # Only on loopback addresses.
    return NoAuth("every user of this machine, without a token, since http.auth is not set; your credentials are used")


class NoAuth:
    """No authentication here: callers are not distinguished."""

    def __init__(self, announcement: str) -> None:
        self.announcement = announcement

    async def authenticate(self, _headers: Headers) -> Caller:
        """Return the caller that stands for all callers."""
        return ANYONE


class TokenAuth:
    """`http.auth = "token"`: one of the static bearer tokens of the settings, each of which is a caller.

    Raises:
        ConfigurationError: There are no tokens, or one of them is too short, not a valid header value, or a Blaxel
            credential.
    """

    announcement = "anyone with a token of http.bearer_tokens; your credentials are used"

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
        # An identity does not reveal its token.
        self._identities = [(token.encode(), f"token-{_digest('token', token)[:_IDENTITY_CHARS]}") for token in tokens]

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the caller that the token stands for; raises RefusedError."""
        token = _bearer_token(headers, "one of the tokens configured on this server").encode()
        # Compare with all of them, so that the time taken does not depend on which one matches.
        matching = [identity for known, identity in self._identities if hmac.compare_digest(known, token)]
        if not matching:
            raise unauthorized("The token is not configured on this server.")
        return Caller(matching[-1])


class OAuthTokenAuth:
    """`http.auth = "oauth"`: a JWT of the issuer, for this server, with the required scopes.

    The SDK's `BearerAuthBackend` answers 401 while the issuer's keys cannot be fetched, which tells clients that a
    valid token is wrong; here that is 503.
    """

    def __init__(self, verifier: JwtVerifier, issuer: str, scopes: tuple[str, ...], metadata_url: str) -> None:
        self._verifier = verifier
        self._scopes = scopes
        self._challenge = {"resource_metadata": metadata_url}
        self.announcement = f"anyone with a token from {issuer}; your credentials are used"

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the caller that the token was issued to; raises RefusedError."""
        token = _bearer_token(headers, "an access token", **self._challenge)
        try:
            bearer = await self._verifier.verify(token)
        except TokenRefusedError as error:
            raise unauthorized(str(error), **self._challenge) from None
        except KeysUnavailableError:
            description = "The keys of the token's issuer are unavailable. Retry in 10 seconds."
            raise RefusedError(503, "temporarily_unavailable", description, {"Retry-After": "10"}) from None
        if not bearer.scopes.issuperset(self._scopes):
            scopes = " ".join(self._scopes)
            description = f"The token must have these scopes: {scopes}."
            raise unauthorized(description, error="insufficient_scope", scope=scopes, **self._challenge)
        return Caller(bearer.identity)


class PassthroughAuth:
    """`http.auth = "caller"`: a workspace and a Blaxel credential of the caller's own, which Blaxel verifies."""

    announcement = f"anyone with a Blaxel key of their own in {CREDENTIAL_HEADER}; your credentials are not used"

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the caller with its credential; raises RefusedError for headers that are missing or malformed."""
        authorization = _required(headers, CREDENTIAL_HEADER, "`Bearer ` and a Blaxel API key or access token")
        workspace = _required(headers, WORKSPACE_HEADER, "the name of a Blaxel workspace")
        scheme, space, rest = authorization.partition(" ")
        credential = rest.strip() if space and scheme.lower() == "bearer" else authorization
        if not is_bearer_value(credential):
            raise unauthorized(f"{CREDENTIAL_HEADER} is not `Bearer ` and one word.", error="invalid_request")
        if not _WORKSPACE.fullmatch(workspace):
            raise unauthorized(f"{WORKSPACE_HEADER} is not the name of a workspace.", error="invalid_request")
        return Caller(f"caller-{_digest('caller', workspace, credential)}", workspace, SecretStr(credential))


def _bearer_token(headers: Headers, expected: str, **challenge: str) -> str:
    """Return the token of the one `Authorization: Bearer` header, or raise an error that asks for `expected`."""
    values = headers.getlist("authorization")
    if not values:
        raise unauthorized(f"Send the header `Authorization: Bearer TOKEN` with {expected}.", error=None, **challenge)
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not is_bearer_value(token.strip()):
        description = f"Send one header `Authorization: Bearer TOKEN` with {expected}."
        raise unauthorized(description, error="invalid_request", **challenge)
    return token.strip()


def _required(headers: Headers, name: str, expected: str) -> str:
    """Return the value of a header that must be sent once, or raise an error that asks for `expected`."""
    values = headers.getlist(name)
    if not values or not values[0].strip():
        raise unauthorized(f"The header {name} is missing. Send {expected}.", error=None)
    if len(values) > 1:
        raise unauthorized(f"The header {name} was sent more than once. Send it once.", error="invalid_request")
    return values[0].strip()


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
