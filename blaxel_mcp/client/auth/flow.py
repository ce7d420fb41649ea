"""How a request to Blaxel is signed: with which header, and for which hosts alone."""

import math
from collections.abc import AsyncGenerator, Callable, Generator

import httpx
from pydantic import SecretStr

from blaxel_mcp.client.auth.secret_values import unusable_credential
from blaxel_mcp.client.auth.token_cache import TokenSource
from blaxel_mcp.client.auth.tokens import is_bearer_value
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.hosts import DEFAULT_PORTS, is_loopback

AUTH_HEADER = "X-Blaxel-Authorization"

# Blaxel answers 401 to a request whose Authorization is a dummy, even beside a good header of its
# own: the adapters in its SDKs strip the one that a provider's library adds. So does this one.
_AUTH_HEADERS = (AUTH_HEADER, "Authorization")

_Origin = tuple[str, str, int]


class WorkspaceAuth(httpx.Auth):
    """Signs one workspace's requests, those to trusted origins alone; `Authenticator` makes it.

    A request leaves with exactly one authentication header, or with none when it goes elsewhere.

    Attributes:
        source: Where the credentials came from, None when there are none.
    """

    def __init__(
        self,
        tokens: TokenSource | None,
        *,
        source: str | None,
        is_trusted: Callable[[str], bool],
        missing: Callable[[], ConfigurationError],
    ) -> None:
        self.source = source
        self._tokens = tokens
        self._is_trusted = is_trusted
        self._missing = missing

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request and send it once; what a 401 means is for the client to find out.

        Raises:
            BlaxelError: There is no token, so the request is not sent.
        """
        for name in _AUTH_HEADERS:
            request.headers.pop(name, None)
        if self._is_trusted(str(request.url)):
            request.headers[AUTH_HEADER] = f"Bearer {await self._bearer_value()}"
        yield request

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuse: httpx's own version would send the request without a token."""
        raise RuntimeError(f"This {request.method} was not sent: WorkspaceAuth signs for httpx.AsyncClient only.")

    async def check(self) -> float:
        """Get a token as a request would, and send nothing.

        Returns:
            Until when it is good, in seconds since the epoch; infinite where nothing is known.

        Raises:
            BlaxelError: There is none, or no header can carry it.
        """
        await self._bearer_value()
        return math.inf if self._tokens is None else self._tokens.expires_at

    async def renew(self, request: httpx.Request) -> bool:
        """Tell whether a request that Blaxel answered with 401 may be sent once more, with another token.

        Callers whose requests were rejected with the same token share one renewal.

        Raises:
            BlaxelError: The token could not be renewed.
        """
        _, _, rejected = request.headers.get(AUTH_HEADER, "").partition(" ")
        if self._tokens is None or not rejected:
            return False
        return await self._tokens.renew(SecretStr(rejected))

    async def _bearer_value(self) -> str:
        if self._tokens is None:
            raise self._missing()
        value = (await self._tokens.get()).get_secret_value()
        if not is_bearer_value(value):
            raise unusable_credential(self.source or "the credentials")
        return value


class TrustedOrigins:
    """The origins whose requests may be signed.

    Args:
        urls: Those that the settings give, trusted as they are.
    """

    def __init__(self, *urls: str) -> None:
        self._origins = {_origin(url) for url in urls} - {None}

    def trust(self, url: str) -> None:
        """Add the origin of a URL that Blaxel gave; plain http counts on this machine only."""
        origin = _origin(url)
        if origin is None:
            return
        scheme, host, _port = origin
        if scheme == "https" or (scheme == "http" and is_loopback(host)):
            self._origins.add(origin)

    def is_trusted(self, url: str) -> bool:
        """Tell whether the URL has one of these origins."""
        origin = _origin(url)
        return origin is not None and origin in self._origins


def _origin(url: str) -> _Origin | None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    port = DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
    return (parsed.scheme, parsed.raw_host.decode("ascii"), port) if parsed.host and port else None
