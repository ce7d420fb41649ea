"""Access tokens from Blaxel's token endpoint, `POST /oauth/token`, and the two grants for one.

The endpoint is OAuth 2.0's (RFC 6749, sections 5.1 and 5.2) with JSON bodies, as Blaxel's SDKs and CLI use it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from pydantic import SecretStr

from blaxel_mcp.client.auth.credentials import (
    APIKey,
    ClientCredentials,
    Credentials,
    DeviceLogin,
    ResolvedCredentials,
    basic_authorization,
    credentials_in,
    own_secrets,
    sendable_value,
)
from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value, issued_token, json_object, stored_token
from blaxel_mcp.client.errors.wording import in_seconds, quotation, retry_advice
from blaxel_mcp.core.exceptions import ConfigurationError, UpstreamError
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.redaction import literal, quote
from blaxel_mcp.settings.login_file import LoginFile, read_login_file

EXCHANGE_SECONDS = 30.0
"""Timeout for the token endpoint; every call of the workspace waits for it."""

_DESCRIPTION_CHARS = 200
_OAUTH_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class TokenReply:
    """The token endpoint's response: the HTTP status and the body as received."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """The result of an exchange; without a refresh token, the old one stays valid."""

    token: Token
    refresh_token: SecretStr | None


def check_is_private(url: str) -> None:
    """Raise ConfigurationError for a URL that credentials would reach in clear text: no https, and not loopback."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"Credentials are not sent to {literal(url)}: it is not an https URL.",
            hint="Set `api_url` (or BL_API_URL) to an https URL; plain http is for loopback.",
        )


PostJSON = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[TokenReply]]
"""Posts a JSON object, unsigned: (url, headers, object) -> reply; raises BlaxelError if there is no reply."""


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Blaxel's token endpoint.

    `secrets` redacts the endpoint's text, and learns each new token.
    """

    url: str
    post_json: PostJSON
    now: Callable[[], float]
    timeout_seconds: float
    secrets: KnownSecrets

    async def exchange(self, headers: Mapping[str, str], form: Mapping[str, str], *, hint: str) -> Grant:
        """Request a token; if Blaxel rejects the credentials, the error has the hint.

        Raises:
            BlaxelError: `authentication_failed`, `rate_limited`, `upstream_error`, `timeout`,
                `network_error`, or `bad_response` for a success without a usable token.
        """
        check_is_private(self.url)
        asked_at = self.now()
        with anyio.move_on_after(self.timeout_seconds):
            reply = await self.post_json(self.url, headers, form)
            grant = self._read_grant(reply, asked_at=asked_at, hint=hint)
            self.secrets.remember(grant.token.value, grant.refresh_token)
            return grant
        raise UpstreamError(
            f"Blaxel's token endpoint did not answer within {in_seconds(self.timeout_seconds)}, "
            "so the call was not sent.",
            code="timeout",
            origin="network",
            hint=retry_advice(retryable=True, billed="no"),
            retryable=True,
            unprocessed=True,
        )

    def _read_grant(self, reply: TokenReply, *, asked_at: float, hint: str) -> Grant:
        fields = json_object(reply.body)
        if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._exchange_error(reply.status, fields, hint)
        access_token, refresh_token = fields.get("access_token"), fields.get("refresh_token")
        if not isinstance(access_token, str) or not is_bearer_value(access_token):
            raise UpstreamError(
                "Blaxel's token endpoint answered without a usable access token.",
                code="bad_response",
                origin="blaxel",
                hint="Check that api_url is Blaxel's control plane and that no proxy answers in its place.",
                status=reply.status,
            )
        token = issued_token(access_token, fields.get("expires_in"), asked_at)
        return Grant(token, SecretStr(refresh_token) if isinstance(refresh_token, str) and refresh_token else None)

    def _exchange_error(self, status: int, fields: Mapping[str, Any], hint: str) -> UpstreamError:
        rejected = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN} and "error" in fields
        if rejected or status == HTTPStatus.UNAUTHORIZED:
            code, description = self._quotable(fields.get("error")), self._quotable(fields.get("error_description"))
            reason = f", {code}" if _OAUTH_CODE.fullmatch(code) else ""
            reason += f": {quotation(description)}" if description else ""
            message = f"Blaxel refused to issue an access token (HTTP {status}{reason})."
            return UpstreamError(message, code="authentication_failed", origin="blaxel", hint=hint, status=status)
        # Like Blaxel's CLI, treat a 404 of the token endpoint as temporary, not as a lost login.
        temporary = status in {HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
        retryable = temporary or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return UpstreamError(
            f"Blaxel's token endpoint answered HTTP {status}, so the call was not sent.",
            code="rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "upstream_error",
            origin="blaxel",
            hint=retry_advice(retryable=retryable, billed="no") or "Check that api_url is Blaxel's control plane.",
            retryable=retryable,
            unprocessed=True,
            status=status,
        )

    def _quotable(self, value: object) -> str:
        """Return upstream's text without credentials."""
        return quote(value, _DESCRIPTION_CHARS, self.secrets.redact) if isinstance(value, str) else ""


async def static_token(credentials: APIKey | ClientCredentials, source: str, endpoint: TokenEndpoint) -> Token:
    """Return an API key, or the access token that client credentials are exchanged for; raises BlaxelError."""
    value = sendable_value(credentials, source)
    if isinstance(credentials, APIKey):
        return Token(SecretStr(value))
    grant = await endpoint.exchange(
        {"Authorization": basic_authorization(credentials)},
        {"grant_type": "client_credentials"},
        hint=f"Check the client credentials from {source}: they may be revoked or copied incompletely. "
        "If in doubt, create new ones for the service account.",
    )
    return grant.token


async def read_again(login: LoginFile) -> LoginFile:
    """Return the login file as it is now; one that is only shown is not read."""
    return await anyio.to_thread.run_sync(read_login_file, login.path) if login.path.is_absolute() else login


class LoginTokens:
    """Obtains tokens with a workspace's entry in the login file, which is read again each time.

    So a later `bl login` counts without a restart, and so do tokens that `bl` itself has renewed. The file is the CLI's
    and is never written. Like Blaxel's Python and TypeScript SDKs, this keeps renewed tokens in memory.
    """

    def __init__(self, resolved: ResolvedCredentials, login: LoginFile, endpoint: TokenEndpoint) -> None:
        self._in_file = self._current = resolved.credentials
        self._source = resolved.source
        self._workspace = resolved.login_workspace or ""
        self._login = login
        self._endpoint = endpoint

    async def __call__(self) -> Token:
        """Return the token that is in the file now, otherwise renew it; raises BlaxelError without a token."""
        previous = self._in_file
        self._in_file = credentials_in(await read_again(self._login), self._workspace) or previous
        if self._in_file != previous:
            self._current = self._in_file
        if isinstance(self._current, APIKey | ClientCredentials):
            for secret in own_secrets(self._current):
                self._endpoint.secrets.add(secret)
            return await static_token(self._current, self._source, self._endpoint)
        assert isinstance(self._current, DeviceLogin)
        self._endpoint.secrets.remember(self._current.access_token)
        stored = stored_token_of(self._in_file)
        if stored and stored != stored_token_of(previous) and self._endpoint.now() < stored.renew_at:
            return stored
        return await self._refresh(self._current)

    async def _refresh(self, login: DeviceLogin) -> Token:
        hint = f"Run `bl login {self._workspace}`; this server uses the new login without a restart."
        if login.refresh_token is None:
            raise UpstreamError(
                f"The login from {self._source} is no longer valid and has no refresh token.",
                code="authentication_failed",
                origin="blaxel",
                hint=hint,
            )
        # At each use: a refresh token that Blaxel never replaces would be forgotten otherwise.
        self._endpoint.secrets.remember(login.refresh_token, login.device_code)
        form = {
            "grant_type": "refresh_token",
            "refresh_token": login.refresh_token.get_secret_value(),
            "client_id": "blaxel",
        }
        if login.device_code is not None:
            form["device_code"] = login.device_code.get_secret_value()
        grant = await self._endpoint.exchange({}, form, hint=hint)
        if grant.refresh_token is not None:
            self._current = replace(login, refresh_token=grant.refresh_token)
        return grant.token


def stored_token_of(credentials: Credentials) -> Token | None:
    """Return the token that is in credentials; None if they have none that can be sent in a header."""
    match credentials:
        case APIKey(value) if is_bearer_value(key := value.get_secret_value().strip()):
            return Token(SecretStr(key))
        case DeviceLogin(access_token=SecretStr() as value) if is_bearer_value(
            token := value.get_secret_value().strip()
        ):
            return stored_token(token)
    return None
