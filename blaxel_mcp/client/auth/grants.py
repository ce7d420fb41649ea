"""The two grants that bring an access token: client credentials, and the refresh token of `bl login`."""

from dataclasses import replace

import anyio.to_thread
from pydantic import SecretStr

from blaxel_mcp.client.auth.credentials import ClientCredentials, DeviceLogin
from blaxel_mcp.client.auth.secret_values import basic_authorization, unusable_credential
from blaxel_mcp.client.auth.token_endpoint import TokenEndpoint
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value, stored_token
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.settings.login_file import read_login_file


async def client_credentials_token(credentials: ClientCredentials, source: str, endpoint: TokenEndpoint) -> Token:
    """Exchange client credentials for a token.

    Raises:
        BlaxelError: They cannot be sent, or the endpoint gave no token.
    """
    if not is_bearer_value(credentials.value.get_secret_value().strip()):
        raise unusable_credential(source)
    grant = await endpoint.exchange(
        {"Authorization": basic_authorization(credentials)},
        {"grant_type": "client_credentials"},
        remedy=f"Check the client credentials from {source}: they may have been revoked, or cut when they were "
        "copied. If need be, make new ones for the service account.",
    )
    return grant.token


class DeviceLoginRenewal:
    """Renews the tokens of `bl login`, and takes over what `bl` itself has renewed meanwhile.

    The login file is never written: it is the CLI's. Blaxel's Python and TypeScript SDKs keep
    renewed tokens in memory in the same way.
    """

    def __init__(self, login: DeviceLogin, source: str, endpoint: TokenEndpoint) -> None:
        self._in_file = login
        self._login = login
        self._source = source
        self._endpoint = endpoint

    async def __call__(self) -> Token:
        """Return the token that `bl` has stored since, else refresh; raises BlaxelError when neither gives one."""
        known = self._in_file
        await self._reread()
        stored = stored_login_token(self._in_file)
        if self._in_file.access_token != known.access_token and stored and self._endpoint.now() < stored.renew_at:
            return stored
        return await self._refresh()

    async def _reread(self) -> None:
        file = await anyio.to_thread.run_sync(read_login_file, self._in_file.path)
        entry = file.entries.get(self._in_file.workspace)
        if entry is None:
            return
        found = replace(
            self._in_file,
            access_token=entry.access_token,
            refresh_token=entry.refresh_token,
            device_code=entry.device_code,
        )
        if found != self._in_file:
            self._in_file = self._login = found
            self._endpoint.secrets.remember(found.access_token)

    async def _refresh(self) -> Token:
        login = self._login
        remedy = f"Run `bl login {login.workspace}`; the new login is noticed without a restart."
        if login.refresh_token is None:
            raise UpstreamError(
                f"The login from {self._source} is no longer valid and holds no refresh token.",
                code="authentication_failed",
                origin="blaxel",
                hint=remedy,
            )
        # With each use, or a refresh token that Blaxel never replaces would be forgotten in the end.
        self._endpoint.secrets.remember(login.refresh_token, login.device_code)
        grant = await self._endpoint.exchange({}, _refresh_form(login.refresh_token, login.device_code), remedy=remedy)
        if grant.refresh_token is not None:
            self._login = replace(login, refresh_token=grant.refresh_token)
        return grant.token


def stored_login_token(login: DeviceLogin) -> Token | None:
    """Return the access token that the login file holds, if any."""
    return stored_token(login.access_token.get_secret_value().strip()) if login.access_token is not None else None


def _refresh_form(refresh_token: SecretStr, device_code: SecretStr | None) -> dict[str, str]:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.get_secret_value(),
        "client_id": "blaxel",
    }
    return form if device_code is None else {**form, "device_code": device_code.get_secret_value()}
