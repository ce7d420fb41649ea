"""Signs requests to Blaxel, only those to trusted origins."""

from functools import lru_cache

import httpx
from pydantic import SecretStr

from blaxel_mcp.client.auth.token_cache import TokenCache
from blaxel_mcp.core.hosts import DEFAULT_PORTS, is_internal, is_loopback

AUTH_HEADER = "X-Blaxel-Authorization"

# Blaxel answers 401 to a request with a dummy Authorization, even if its own header is valid. So the
# adapters in its SDKs strip the one that a provider's library adds, and so does this one.
_AUTH_HEADERS = (AUTH_HEADER, "Authorization")

_Origin = tuple[str, str, int]


class WorkspaceAuth:
    """The authentication of one workspace's requests, created by `Authenticator`.

    A request to a trusted origin is sent with exactly one authentication header, any other with none.

    Attributes:
        source: The label of the credentials' source; None without credentials.
    """

    def __init__(self, tokens: TokenCache, *, source: str | None, trusted: "TrustedOrigins") -> None:
        self.source = source
        self._tokens = tokens
        self._trusted = trusted

    async def sign(self, request: httpx.Request) -> None:
        """Set the authentication header of a request to a trusted origin; raises BlaxelError if there is no token."""
        for name in _AUTH_HEADERS:
            if name in request.headers:
                del request.headers[name]
        if self._trusted.is_trusted(str(request.url)):
            if request.url.netloc in self._trusted.remote:
                request.extensions["must_be_public"] = True
            request.headers[AUTH_HEADER] = f"Bearer {(await self._tokens.get()).get_secret_value()}"

    async def check(self) -> float:
        """Return when a request's token expires, in seconds since the epoch, infinite if unknown; raises as `sign`."""
        await self._tokens.get()
        return self._tokens.expires_at

    async def renew(self, request: httpx.Request) -> bool:
        """Return whether a request that Blaxel answered with 401 can be retried with another token.

        Callers whose requests were rejected with the same token share one renewal.

        Raises:
            BlaxelError: The token could not be renewed.
        """
        _, _, rejected = request.headers.get(AUTH_HEADER, "").partition(" ")
        return bool(rejected) and await self._tokens.renew(SecretStr(rejected))


class TrustedOrigins:
    """The origins whose requests are signed: those of URLs from the settings, and of trusted ones.

    Attributes:
        remote: Host and port of the URLs that a control plane beyond loopback returned. Their names must not resolve to
            addresses of this machine or its network.
    """

    def __init__(self, *urls: str, control_plane: str) -> None:
        own = _origin(control_plane)
        self._is_local = own is not None and is_loopback(own[1])
        self._origins = {own, *map(_origin, urls)} - {None}
        self.remote: set[bytes] = set()

    def trust(self, url: str) -> None:
        """Add the origin of a URL that Blaxel returned: https to a public host, or loopback if Blaxel is there too."""
        origin = _origin(url)
        if origin is None:
            return
        scheme, host, _port = origin
        is_allowed = self._is_local or not is_internal(host)
        if is_allowed and (scheme == "https" or (scheme == "http" and is_loopback(host))):
            if not self._is_local and origin not in self._origins:
                self.remote.add(httpx.URL(url).netloc)
            self._origins.add(origin)

    def is_trusted(self, url: str) -> bool:
        """Return whether the URL has one of these origins."""
        origin = _origin(url)
        return origin is not None and origin in self._origins


@lru_cache(maxsize=64)
def _origin(url: str) -> _Origin | None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    port = DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
    return (parsed.scheme, parsed.raw_host.decode("ascii"), port) if parsed.host and port else None
