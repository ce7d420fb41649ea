"""Who is let in over HTTP: one gate for each way of `http.auth`."""

import re
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr
from starlette.datastructures import Headers

from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.http.auth.bearer_tokens import BearerTokens, brought_identity
from blaxel_mcp.server.http.auth.jwks import IssuerKeys, KeysUnavailableError
from blaxel_mcp.server.http.auth.jwt import JwtVerifier, TokenRefusedError
from blaxel_mcp.server.http.errors import RefusedError, insufficient_scope, unauthorized
from blaxel_mcp.settings.loading import Configuration

CREDENTIAL_HEADER, WORKSPACE_HEADER = "X-Blaxel-Authorization", "X-Blaxel-Workspace"

# It becomes a part of a URL's path, so it cannot be "..".
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_HOW_TO_COME_IN = "Send the header `Authorization: Bearer TOKEN`"


class Gate(Protocol):
    """Decides about a request by its headers."""

    announcement: str
    """How callers are let in, for whoever starts the server."""

    async def admit(self, headers: Headers) -> Caller:
        """Who sends the request; raises RefusedError for nobody who is let in."""


def gate_for(config: Configuration, metadata_url: str, *, now: Callable[[], float] = time.monotonic) -> Gate:
    """Make the gate that the settings ask for.

    Args:
        config: The settings.
        metadata_url: Where OAuth clients read how to get a token.
        now: A monotonic clock, in seconds.

    Raises:
        ConfigurationError: the settings do not say enough for it.
    """
    http = config.settings.http
    match http.auth:
        case "token":
            return TokenGate(BearerTokens(config))
        case "oauth":
            verifier = JwtVerifier(http, IssuerKeys(http, now=now))
            return OAuthGate(verifier, str(http.issuer), http.scopes, metadata_url)
        case "caller":
            return OwnKeyGate()
        case "platform":
            return OpenGate("whoever the platform in front lets through; your credentials are used")
    return OpenGate("anyone on this machine; your credentials are used")


class OpenGate:
    """Lets everybody in, as the user."""

    def __init__(self, announcement: str) -> None:
        self.announcement = announcement

    async def admit(self, _headers: Headers) -> Caller:
        """Return the user."""
        return OWNER


class TokenGate:
    """Lets in whoever has one of the static tokens."""

    def __init__(self, tokens: BearerTokens) -> None:
        self._tokens = tokens
        self.announcement = "those with one of http.bearer_tokens; your credentials are used"

    async def admit(self, headers: Headers) -> Caller:
        """Return who comes with the token; raises RefusedError."""
        identity = self._tokens.identity_of(_bearer_token(headers, "one of the tokens of this server's settings"))
        if identity is None:
            raise unauthorized("The token is not one of this server's.")
        return Caller(identity)


class OAuthGate:
    """Lets in whoever has a token of the issuer's."""

    def __init__(self, verifier: JwtVerifier, issuer: str, scopes: tuple[str, ...], metadata_url: str) -> None:
        self._verifier = verifier
        self._scopes = scopes
        self._metadata = {"resource_metadata": metadata_url}
        self.announcement = f"those with a token of {issuer}; your credentials are used"

    async def admit(self, headers: Headers) -> Caller:
        """Return whom the token was made for; raises RefusedError."""
        token = _bearer_token(headers, "an access token", **self._metadata)
        try:
            bearer = await self._verifier.verify(token)
        except TokenRefusedError as error:
            raise unauthorized(str(error), **self._metadata) from None
        except KeysUnavailableError:
            description = "The keys of the token's issuer cannot be had at the moment. Send the request again later."
            raise RefusedError(503, "temporarily_unavailable", description, {"Retry-After": "10"}) from None
        if not bearer.scopes.issuperset(self._scopes):
            raise insufficient_scope(" ".join(self._scopes), **self._metadata)
        return Caller(bearer.identity)


class OwnKeyGate:
    """Lets in whoever brings a workspace and a Blaxel credential of its own; Blaxel decides whether they are good."""

    announcement = f"those with a Blaxel key of their own in {CREDENTIAL_HEADER}; nothing of yours is spent"

    async def admit(self, headers: Headers) -> Caller:
        """Return who comes with the key; raises RefusedError."""
        given = _own(headers, CREDENTIAL_HEADER, "`Bearer ` and a Blaxel API key or access token")
        workspace = _own(headers, WORKSPACE_HEADER, "the name of a Blaxel workspace")
        scheme, space, rest = given.partition(" ")
        credential = rest.strip() if space and scheme.lower() == "bearer" else given
        if not is_bearer_value(credential):
            raise unauthorized(f"{CREDENTIAL_HEADER} is not `Bearer ` and one word.", error="invalid_request")
        if not _WORKSPACE.fullmatch(workspace):
            raise unauthorized(f"{WORKSPACE_HEADER} is not the name of a workspace.", error="invalid_request")
        return Caller(brought_identity(workspace, credential), workspace, SecretStr(credential))


def _bearer_token(headers: Headers, what: str, **details: str) -> str:
    values = headers.getlist("authorization")
    if not values:
        raise unauthorized(f"{_HOW_TO_COME_IN}, with {what}.", error=None, **details)
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not is_bearer_value(token.strip()):
        raise unauthorized(f"{_HOW_TO_COME_IN}, once, with {what}.", error="invalid_request", **details)
    return token.strip()


def _own(headers: Headers, name: str, what: str) -> str:
    values = headers.getlist(name)
    if not values or not values[0].strip():
        raise unauthorized(f"The header {name} is missing: it has {what}.", error=None)
    if len(values) > 1:
        raise unauthorized(f"The header {name} stands there more than once.", error="invalid_request")
    return values[0].strip()
