"""The token endpoint: `POST /v0/oauth/token` (Blaxel's Python SDK, core/authentication)."""

import base64
import binascii
import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.platform.errors import RefusalError
from blaxel_mcp.emulator.platform.state import Emulator

CLIENT_ID = "blaxel"
"""The client id of Blaxel's own clients, which refresh a device login with it."""


class TokenRoute:
    """Exchanges a service account's credentials, or a login's refresh token, for an access token."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def exchange(self, request: Request) -> Response:
        """Answer one exchange."""
        fields = await _read_fields(request)
        match fields.get("grant_type"):
            case "client_credentials":
                refresh_token = self._check_service_account(request, fields)
            case "refresh_token":
                refresh_token = self._check_refresh_token(fields)
            case _:
                raise oauth_error("unsupported_grant_type", "The grant_type is not supported.")
        return JSONResponse(
            {
                "access_token": self._emulator.mint_token(),
                "refresh_token": refresh_token,
                "expires_in": self._emulator.token_lifetime,
                "token_type": "Bearer",
            }
        )

    def _check_service_account(self, request: Request, fields: dict[str, Any]) -> str:
        """Return a new refresh token for a known service account."""
        client_id, secret = _client_credentials(request.headers.get("authorization"), fields)
        if self._emulator.client_credentials.get(client_id) != secret:
            raise oauth_error("invalid_client", "The client credentials are not known.")
        refresh_token = f"refresh-{secrets.token_hex(16)}"
        self._emulator.refresh_tokens[refresh_token] = None
        return refresh_token

    def _check_refresh_token(self, fields: dict[str, Any]) -> str:
        """Return the refresh token if it is known and its device code matches."""
        if fields.get("client_id", CLIENT_ID) != CLIENT_ID:
            raise oauth_error("invalid_client", "The client_id is not known.")
        refresh_token = fields.get("refresh_token")
        if not isinstance(refresh_token, str) or refresh_token not in self._emulator.refresh_tokens:
            raise oauth_error("invalid_grant", "The refresh token is not known.")
        if fields.get("device_code") != self._emulator.refresh_tokens[refresh_token]:
            raise oauth_error("invalid_grant", "The device code does not belong to the refresh token.")
        return refresh_token


def oauth_error(error: str, description: str, status: int = 400) -> RefusalError:
    """Refuse as an OAuth token endpoint does (RFC 6749, section 5.2)."""
    return RefusalError(JSONResponse({"error": error, "error_description": description}, status))


async def _read_fields(request: Request) -> dict[str, Any]:
    """Return the request's fields, which Blaxel expects as a JSON object, not as a form."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise oauth_error("invalid_request", "The content type must be application/json.", status=415)
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise oauth_error("invalid_request", "The body must be a JSON object.")
    return fields


def _client_credentials(authorization: str | None, fields: dict[str, Any]) -> tuple[str, str]:
    """Return id and secret from the Basic header, or from the body if there is no header."""
    if authorization is None:
        return str(fields.get("client_id", "")), str(fields.get("client_secret", ""))
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise oauth_error("invalid_client", "The authorization header must be of the Basic scheme.")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise oauth_error("invalid_client", "The Basic header is not base64 of id:secret.") from error
    client_id, _, secret = decoded.partition(":")
    return client_id, secret
