"""The ASGI application: the MCP endpoint behind authentication, health probes, OAuth metadata and CORS."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from blaxel_mcp.server.http.address import MCP_PATH, Address, transport_security
from blaxel_mcp.server.http.auth.caller_auth import CallerAuth
from blaxel_mcp.server.http.body_bounds import receive_bounded
from blaxel_mcp.server.http.cancellation import SESSION_HEADER, Cancel, CancellationRegistry
from blaxel_mcp.server.http.errors import RefusedError, draining, post_required
from blaxel_mcp.server.http.oauth_metadata import metadata_routes
from blaxel_mcp.server.http.requests import InFlightRequests
from blaxel_mcp.settings.loading import Configuration


class HttpApp:
    """An MCP server as an ASGI application, for one run.

    Args:
        server: The MCP server.
        config: The settings.
        address: The address that it is served on.
        auth: Authenticates callers.
        cancel_elsewhere: Cancels a request in the other worker processes; None without workers.

    Attributes:
        requests: The in-flight requests.
        cancellations: Those of them that a client can cancel by another request.
        asgi: The ASGI application.
    """

    def __init__(
        self,
        server: Server[Any],
        config: Configuration,
        address: Address,
        auth: CallerAuth,
        *,
        cancel_elsewhere: Cancel | None = None,
    ) -> None:
        http, max_body_bytes = config.settings.http, config.settings.limits.max_argument_bytes
        self._server = server
        self.requests = InFlightRequests()
        self.cancellations = CancellationRegistry(max_body_bytes, cancel_elsewhere)
        _end_subscriptions_at_drain(server, self.requests)
        self.asgi = server.streamable_http_app(
            streamable_http_path=MCP_PATH,
            # Event streams without sessions: a client of either era that disconnects cancels its request.
            json_response=False,
            stateless_http=True,
            max_request_body_size=max_body_bytes,
            transport_security=transport_security(http, address),
            custom_starlette_routes=[*self._probes(), *metadata_routes(http, address)],
        )
        self.asgi.router.redirect_slashes = False
        self.asgi.add_exception_handler(HTTPException, _json_error)
        self.asgi.add_middleware(
            _McpGuard,
            auth=auth,
            requests=self.requests,
            cancellations=self.cancellations,
            max_body_bytes=max_body_bytes,
        )
        # No defaults: any page that is served on this machine could call otherwise.
        if http.allowed_origins:
            # As the SDK's transport security reads them, `:*` at the end is any port.
            patterns = (re.escape(origin).replace(r":\*", r":\d+") for origin in http.allowed_origins)
            self.asgi.add_middleware(
                CORSMiddleware,
                allow_origin_regex="|".join(patterns),
                allow_methods=["POST"],
                allow_headers=["*"],
                expose_headers=["WWW-Authenticate", "Retry-After", SESSION_HEADER],
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the context lasts; requests that are in flight at its end are cancelled."""
        async with self._server.session_manager.run():
            yield

    def _probes(self) -> list[Route]:
        async def healthz(_: Request) -> Response:
            return _probe_response("ok")

        async def readyz(_: Request) -> Response:
            if self.requests.is_draining:
                return _probe_response("draining", HTTPStatus.SERVICE_UNAVAILABLE)
            return _probe_response("ready")

        return [Route("/healthz", healthz), Route("/readyz", readyz)]


class _McpGuard:
    """Middleware that authenticates and tracks requests for the MCP endpoint, and passes other requests through."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: CallerAuth,
        requests: InFlightRequests,
        cancellations: CancellationRegistry,
        max_body_bytes: int,
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._auth = auth
        self._requests = requests
        self._cancellations = cancellations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (MCP_PATH, f"{MCP_PATH}/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            if self._requests.is_draining:
                raise draining()
            request.state.caller = await self._auth.authenticate(request.headers)
            if request.method != "POST":
                # Without sessions, there is none to DELETE, and a GET stream would stay empty.
                raise post_required()
        except RefusedError as error:
            await error.response()(scope, receive, send)
            return
        await self._requests.run(self._answer, {**scope, "path": MCP_PATH}, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            bounded = await receive_bounded(receive, self._max_body_bytes)
        except RefusedError as error:
            await error.response()(scope, receive, send)
            return
        await self._cancellations.run(self._app, scope, bounded, send)


def _probe_response(state: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return JSONResponse({"status": state}, status, headers={"Cache-Control": "no-store"})


async def _json_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    description = f"{status.phrase}. The MCP endpoint is {MCP_PATH}."
    return RefusedError(status, status.name.lower(), description, error.headers).response()


def _end_subscriptions_at_drain(server: Server[Any], requests: InFlightRequests) -> None:
    """Complete `subscriptions/listen` streams when the server shuts down, so that it does not wait for them."""
    entry = server.get_request_handler("subscriptions/listen")
    assert entry is not None
    listen = entry.handler

    async def listen_until_drained(
        context: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        async with requests.until_drained():
            await listen(context, params)
        return types.SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: context.request_id})

    server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, listen_until_drained)
