"""The Playground: a page on loopback that is an MCP client of the server behind it, and its sessions."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.http.address import MCP_PATH, Address
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.errors import RefusedError, method_not_allowed, unauthorized
from blaxel_mcp.server.pages.bundle import Page, build_page
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import Configuration

SESSION_PATH = "/session"

_MAX_TOKEN_BYTES = 4096
_SECRET_BYTES = 32
_DEFAULT = Environment()

_PAGE_RULES = {"connect-src": "'self'", "img-src": "data:", "media-src": "data:", "frame-ancestors": "'none'"}
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


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
        self._token = secrets.token_urlsafe(_SECRET_BYTES)
        return self._token

    def exchange(self, token: str) -> str | None:
        """Return the secret of a new page for a token, which is void from now on; None if it is not valid."""
        if self._token is None or not hmac.compare_digest(self._token.encode(), token.encode("utf-8", "replace")):
            return None
        self._token = None
        self._secrets.append(secrets.token_urlsafe(_SECRET_BYTES))
        return self._secrets[-1]

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the owner, whose terminal showed the link; raises RefusedError for a page without a secret."""
        values = headers.getlist("authorization")
        secret = values[0].removeprefix("Bearer ").encode() if len(values) == 1 else b""
        if not any(hmac.compare_digest(known.encode(), secret) for known in self._secrets):
            raise unauthorized("The page has no session. Open a new link of `blaxel-mcp playground`.")
        return OWNER


def playground_app(
    config: Configuration, address: Address, about: Mapping[str, Any], environment: Environment = _DEFAULT
) -> tuple[HttpApp, PageSessions]:
    """Return the application that serves the page and the MCP endpoint behind it, and the sessions that it accepts.

    The settings in `[http]` do not apply: they are about `serve`. The page shows `about`, facts about the server as
    JSON values.

    Raises:
        ConfigurationError: A configured model cannot become a tool.
    """
    sessions = PageSessions()
    own = replace(config, settings=config.settings.model_copy(update={"http": HttpSettings()}))
    page = build_page("page.html", "main.js", _PAGE_RULES)
    app = HttpApp(build_server(config, environment=environment), own, address, sessions)
    app.asgi = PlaygroundApp(app.asgi, page, sessions, address, about)
    return app, sessions


class PlaygroundApp:
    """Serves the page and passes its MCP requests on.

    Every request must have this server's own address as Host, and as Origin if it has one: no other name can point at
    it.
    """

    def __init__(
        self, mcp: ASGIApp, page: Page, sessions: PageSessions, address: Address, about: Mapping[str, Any]
    ) -> None:
        self._mcp, self._page, self._sessions, self._about = mcp, page, sessions, about
        self._hosts = {address.url.removeprefix("http://"), f"localhost:{address.port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            self._require_own_origin(request)
            response = await self._respond(request)
        except RefusedError as error:
            response = error.response()
        except ClientDisconnect:
            return
        await (response or self._mcp)(scope, receive, send)

    def _require_own_origin(self, request: Request) -> None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise RefusedError(421, "invalid_host", "The Host header is not this server's address.")
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            raise RefusedError(403, "invalid_origin", "Only the page of this server may send requests to it.")

    async def _respond(self, request: Request) -> Response | None:
        """Return the response to a request that is the page's own; None for one to the MCP endpoint."""
        match request.scope["path"]:
            case "/":
                if request.method not in ("GET", "HEAD"):
                    raise method_not_allowed("The page", "GET, HEAD")
                return HTMLResponse(
                    self._page.html, headers={**_PAGE_HEADERS, "Content-Security-Policy": self._page.policy}
                )
            case path if path == SESSION_PATH:
                if request.method != "POST":
                    raise method_not_allowed("The exchange of a token", "POST")
                return await self._exchange(request)
            case path if path == MCP_PATH:
                return None
        raise RefusedError(404, "not_found", "Not Found. The page is at /.")

    async def _exchange(self, request: Request) -> Response:
        """Return the secret of a new page for `{"token": "..."}`."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_TOKEN_BYTES:
                raise RefusedError(413, "content_too_large", "The body is larger than a token.")
        try:
            token = json.loads(body)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            token = None
        secret = self._sessions.exchange(token) if isinstance(token, str) else None
        if secret is None:
            raise RefusedError(
                403,
                "invalid_token",
                "The link was used before, or a newer one replaced it. Press Enter in the "
                "terminal of `blaxel-mcp playground` for a new one.",
            )
        return JSONResponse({"secret": secret, "about": dict(self._about)}, headers=_PAGE_HEADERS)
