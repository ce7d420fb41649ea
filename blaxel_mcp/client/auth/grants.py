"""The two OAuth grants for an access token: client credentials, and the refresh token of `bl login`."""

from dataclasses import replace

import anyio.to_thread

from blaxel_mcp.client.auth.credentials import ClientCredentials, DeviceLogin, basic_authorization, unusable_credential
from blaxel_mcp.client.auth.token_endpoint import TokenEndpoint
from blaxel_mcp.client.auth.tokens import Token, is_bearer_value, stored_token
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.settings.login_file import read_login_file


async def client_credentials_token(credentials: ClientCredentials, source: str, endpoint: TokenEndpoint) -> Token:
    """Exchange client credentials for an access token; raises BlaxelError without one."""
    if not is_bearer_value(credentials.value.get_secret_value().strip()):
        raise unusable_credential(source)
    grant = await endpoint.exchange(
        {"Authorization": basic_authorization(credentials)},
        {"grant_type": "client_credentials"},
        hint=f"Check the client credentials from {source}: they may be revoked or copied incompletely. "
        "If in doubt, create new ones for the service account.",
    )
    return grant.token


class DeviceLoginRenewal:
    """Renews the tokens of `bl login`, and adopts those that `bl` itself has renewed.

    The login file is the CLI's and is never written. Like Blaxel's Python and TypeScript SDKs, this
    keeps renewed tokens in memory.
    """

    def __init__(self, login: DeviceLogin, source: str, endpoint: TokenEndpoint) -> None:
        self._in_file = login
        self._login = login
        self._source = source
        self._endpoint = endpoint

    async def __call__(self) -> Token:
        """Return the token that `bl` has stored since, otherwise refresh; raises BlaxelError without a token."""
        previous = self._in_file
        await self._reload()
        stored = stored_login_token(self._in_file)
        if self._in_file.access_token != previous.access_token and stored and self._endpoint.now() < stored.renew_at:
            return stored
        return await self._refresh()

    async def _reload(self) -> None:
        file = await anyio.to_thread.run_sync(read_login_file, self._in_file.path)
        entry = file.entries.get(self._in_file.workspace)
        if entry is None:
            return
        login = replace(
            self._in_file,
            access_token=entry.access_token,
            refresh_token=entry.refresh_token,
            device_code=entry.device_code,
        )
        if login != self._in_file:
            self._in_file = self._login = login
            self._endpoint.secrets.remember(login.access_token)

    async def _refresh(self) -> Token:
        login = self._login
        hint = f"Run `bl login {login.workspace}`; this server uses the new login without a restart."
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
            self._login = replace(login, refresh_token=grant.refresh_token)
        return grant.token


def stored_login_token(login: DeviceLogin) -> Token | None:
    """Return the access token in the login file; None if it has none that can be sent in a header."""
    value = login.access_token.get_secret_value().strip() if login.access_token else ""
    return stored_token(value) if is_bearer_value(value) else None
