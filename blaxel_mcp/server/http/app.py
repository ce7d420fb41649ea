"""What is served over HTTP: MCP behind its gate, two probes, and what OAuth clients have to know."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from blaxel_mcp.server.http.address import Address, transport_security
from blaxel_mcp.server.http.admission import Gate
from blaxel_mcp.server.http.cancellation import SESSION_HEADER, Cancel, Cancelling
from blaxel_mcp.server.http.errors import RefusedError, draining
from blaxel_mcp.server.http.requests import Traffic
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import HttpSettings

PATH = "/mcp"
METADATA_PATH = "/.well-known/oauth-protected-resource"

_CORS_HEADERS = ["WWW-Authenticate", "Retry-After", SESSION_HEADER]


def resource_url(http: HttpSettings, address: Address) -> str:
    """The URL that clients know this server by."""
    return http.resource_url or f"{address.url}{PATH}"


def metadata_url(resource: str) -> str:
    """Where OAuth clients look for the metadata of a resource (RFC 9728, section 3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{parts.path}"


class HttpApp:
    """An MCP server as an ASGI application; one that is used once.

    Args:
        server: Answers the messages.
        config: The settings.
        address: Where it is served.
        gate: Decides who is let in.
        cancel_elsewhere: Has the other processes of the server cancel a request, where there are any.

    Attributes:
        traffic: The requests under way.
        cancelling: Those of them that their clients can cancel by another one.
        asgi: The application.
    """

    def __init__(
        self,
        server: Server[Any],
        config: Configuration,
        address: Address,
        gate: Gate,
        *,
        cancel_elsewhere: Cancel | None = None,
    ) -> None:
        self._server = server
        self.traffic = Traffic()
        self.cancelling = Cancelling(config.settings.limits.max_argument_bytes, cancel_elsewhere)
        _end_listening_at_drain(server, self.traffic)
        self.asgi = server.streamable_http_app(
            streamable_http_path=PATH,
            # Event streams, and no sessions: so a client that goes away ends what it asked for, in both eras.
            json_response=False,
            stateless_http=True,
            max_request_body_size=config.settings.limits.max_argument_bytes,
            transport_security=transport_security(config.settings.http, address),
            custom_starlette_routes=[*self._probes(), *_metadata_routes(config.settings.http, address)],
        )
        self.asgi.router.redirect_slashes = False
        self.asgi.add_exception_handler(HTTPException, _told_as_json)
        self.asgi.add_middleware(_Door, gate=gate, traffic=self.traffic, cancelling=self.cancelling)
        _let_pages_in(self.asgi, config.settings.http)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the context lasts; what is in flight at its end is stopped."""
        async with self._server.session_manager.run():
            yield

    def _probes(self) -> list[Route]:
        async def healthz(_: Request) -> Response:
            return _state("ok")

        async def readyz(_: Request) -> Response:
            if self.traffic.is_draining:
                return _state("draining", HTTPStatus.SERVICE_UNAVAILABLE)
            return _state("ready")

        return [Route("/healthz", healthz), Route("/readyz", readyz)]


class _Door:
    """Lets requests for MCP through to the application, with their caller, and the others as they are."""

    def __init__(self, app: ASGIApp, *, gate: Gate, traffic: Traffic, cancelling: Cancelling) -> None:
        self._app = app
        self._gate = gate
        self._traffic = traffic
        self._mcp = partial(cancelling.carry, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (PATH, f"{PATH}/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            if self._traffic.is_draining:
                raise draining()
            request.state.caller = await self._gate.admit(request.headers)
            _check_method(request.method)
        except RefusedError as refused:
            await refused.response()(scope, receive, send)
            return
        await self._traffic.carry(self._mcp, {**scope, "path": PATH}, receive, send)


def _check_method(method: str) -> None:
    # Without sessions there is none to end, and no stream that anything would come over.
    if method != "POST":
        raise RefusedError(405, "method_not_allowed", f"{PATH} takes POST alone.", {"Allow": "POST"})


def _state(state: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return JSONResponse({"status": state}, status, headers={"Cache-Control": "no-store"})


async def _told_as_json(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return RefusedError(status, status.name.lower(), f"{status.phrase}. MCP is at {PATH}.", error.headers).response()


def _metadata_routes(http: HttpSettings, address: Address) -> list[Route]:
    """Where OAuth clients learn whose tokens are taken (RFC 9728); nothing where none are."""
    if http.auth != "oauth":
        return []
    resource = resource_url(http, address)
    metadata = {
        "resource": resource,
        "authorization_servers": [http.issuer],
        "bearer_methods_supported": ["header"],
        **({"scopes_supported": list(http.scopes)} if http.scopes else {}),
    }

    async def tell(_: Request) -> Response:
        # Clients that run in a browser read it before they have anything to show.
        return JSONResponse(metadata, headers={"Access-Control-Allow-Origin": "*"})

    paths = {METADATA_PATH, f"{METADATA_PATH}{PATH}", urlsplit(metadata_url(resource)).path}
    return [Route(path, tell) for path in sorted(paths)]


def _let_pages_in(app: Starlette, http: HttpSettings) -> None:
    """Answer the browsers of pages that the settings name.

    Those of this machine's own pages are answered only where they are named: a page that anything on this machine
    serves would otherwise be let in.
    """
    if http.allowed_origins:
        # As the transport reads them: `:*` at the end is any port.
        patterns = (re.escape(origin).replace(r":\*", r":\d+") for origin in http.allowed_origins)
        app.add_middleware(
            CORSMiddleware,
            allow_origin_regex="|".join(patterns),
            allow_methods=["POST"],
            allow_headers=["*"],
            expose_headers=_CORS_HEADERS,
        )


def _end_listening_at_drain(server: Server[Any], traffic: Traffic) -> None:
    """Have the streams that tell of changes end when the server is stopped, as clients expect it, and not hold it."""
    entry = server.get_request_handler("subscriptions/listen")
    assert entry is not None
    listen = entry.handler

    async def listen_until_drained(
        context: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        async with traffic.until_drained():
            await listen(context, params)
        return types.SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: context.request_id})

    server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, listen_until_drained)
