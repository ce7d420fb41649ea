"""Sessions of the Playground: only the page that first opened a link may use it."""

import hmac
import secrets

from starlette.datastructures import Headers

from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.http.errors import unauthorized

_BYTES = 32


class PageSessions:
    """The one-time tokens of links, and the secrets of the pages that exchanged them.

    A token may be seen: it is in a command line while a browser starts. So it works once, and the page then gets a
    secret that exists only in its memory. Implements `CallerAuth`.
    """

    announcement = "the page that opens the link"

    def __init__(self) -> None:
        self._token: str | None = None
        self._secrets: list[str] = []

    def new_token(self) -> str:
        """Return a token for the next link; an earlier one that was not exchanged is void."""
        self._token = secrets.token_urlsafe(_BYTES)
        return self._token

    def exchange(self, token: str) -> str | None:
        """Return the secret of a new page for a token, which is void from now on; None if it is not valid."""
        if self._token is None or not hmac.compare_digest(self._token.encode(), token.encode("utf-8", "replace")):
            return None
        self._token = None
        self._secrets.append(secrets.token_urlsafe(_BYTES))
        return self._secrets[-1]

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the owner, whose terminal showed the link; raises RefusedError for a page without a secret."""
        values = headers.getlist("authorization")
        secret = values[0].removeprefix("Bearer ").encode() if len(values) == 1 else b""
        if not any(hmac.compare_digest(known.encode(), secret) for known in self._secrets):
            raise unauthorized("The page has no session. Open a new link of `blaxel-mcp playground`.")
        return OWNER
