"""Blaxel's token endpoint: how it is asked, and what its replies mean.

The endpoint is OAuth 2.0's (RFC 6749, sections 5.1 and 5.2) with JSON bodies, as Blaxel's SDKs and CLI use it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import anyio
from pydantic import SecretStr

from blaxel_mcp.client.auth.known_secrets import KnownSecrets
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value, issued_token, json_object
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.redaction import scrub

# The token endpoint answers at once or not at all; every call of the workspace waits for it.
EXCHANGE_SECONDS = 30.0

_DESCRIPTION_CHARS = 200
_OAUTH_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class TokenReply:
    """What the token endpoint answered: the HTTP status and the body as received."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Grant:
    """What a successful exchange brings; no refresh token means that the old one stays in force."""

    token: Token
    refresh_token: SecretStr | None


PostJSON = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[TokenReply]]
"""Posts a JSON object, unsigned: (url, headers, object) -> reply; raises BlaxelError where none came."""


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Blaxel's `POST /oauth/token`."""

    url: str
    post_json: PostJSON
    now: Callable[[], float]
    limit_seconds: float
    secrets: KnownSecrets

    async def exchange(self, headers: Mapping[str, str], form: Mapping[str, str], *, remedy: str) -> Grant:
        """Ask for a token; raises BlaxelError, whose hint is the remedy when Blaxel refuses."""
        asked_at = self.now()
        with anyio.move_on_after(self.limit_seconds):
            reply = await self.post_json(self.url, headers, form)
            grant = _read_grant(reply, asked_at=asked_at, remedy=remedy, redact=self.secrets.redact_text)
            self.secrets.remember(grant.token.value, grant.refresh_token)
            return grant
        raise UpstreamError(
            f"Blaxel's token endpoint did not answer within {self.limit_seconds:g} seconds, so the call was not sent.",
            code="timeout",
            origin="network",
            hint="Try again in a while.",
            retryable=True,
            unprocessed=True,
        )


def _read_grant(reply: TokenReply, *, asked_at: float, remedy: str, redact: Callable[[str], str]) -> Grant:
    """Read the token endpoint's reply.

    Args:
        reply: What the endpoint answered.
        asked_at: When it was asked, in seconds since the epoch; lifetimes count from there.
        remedy: What the user can do when Blaxel refuses the credentials.
        redact: Removes our secrets from text of the endpoint's that is going to be shown.

    Raises:
        UpstreamError: `authentication_failed`, `rate_limited`, `upstream_error`, or
            `bad_response` for a success that holds no usable token.
    """
    fields = json_object(reply.body)
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _exchange_error(reply.status, fields, remedy, redact)
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


def _exchange_error(status: int, fields: Mapping[str, Any], remedy: str, redact: Callable[[str], str]) -> UpstreamError:
    refused = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN} and "error" in fields
    if refused or status == HTTPStatus.UNAUTHORIZED:
        message = f"Blaxel refused to give an access token (HTTP {status}{_quoted_reason(fields, redact)})."
        return UpstreamError(message, code="authentication_failed", origin="blaxel", hint=remedy, status=status)
    # Blaxel's CLI takes a 404 of the token endpoint for a passing fault too, not for a lost login.
    passing = status in {HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
    retryable = passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return UpstreamError(
        f"Blaxel's token endpoint answered HTTP {status}, so the call was not sent.",
        code="rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "upstream_error",
        origin="blaxel",
        hint="Try again in a while." if retryable else "Check that api_url is Blaxel's control plane.",
        retryable=retryable,
        unprocessed=True,
        status=status,
    )


def _quoted_reason(fields: Mapping[str, Any], redact: Callable[[str], str]) -> str:
    code, description = (_shown(fields.get(key), redact) for key in ("error", "error_description"))
    reason = f", {code}" if _OAUTH_CODE.fullmatch(code) else ""
    return f'{reason}: "{description}"' if description else reason


def _shown(value: object, redact: Callable[[str], str]) -> str:
    """Return upstream text fit to be quoted, without credentials; what is invisible goes first: it could hide one."""
    if not isinstance(value, str):
        return ""
    folded = " ".join(value.split())
    # A quotation mark inside would let the text end the quotation and go on in our name.
    visible = "".join(character for character in folded if character.isprintable()).replace('"', "'")
    return scrub(redact(visible))[:_DESCRIPTION_CHARS]
