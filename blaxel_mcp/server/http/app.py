"""The ASGI application: the MCP endpoint behind authentication, health probes, OAuth metadata and CORS."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.server.transport_security import TransportSecuritySettings
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from blaxel_mcp.server.http.address import MCP_PATH, Address, check_names, transport_security
from blaxel_mcp.server.http.auth.caller_auth import CallerAuth
from blaxel_mcp.server.http.auth.oauth import metadata_pages
from blaxel_mcp.server.http.body_bounds import read_body, with_clear_refusals
from blaxel_mcp.server.http.errors import RefusedError, method_not_allowed
from blaxel_mcp.server.http.negotiation import JSONSender, answers_with_events, check_content_type, for_the_sdk
from blaxel_mcp.server.http.requests import MAX_CONNECTIONS, RETRY_SOON, SESSION_HEADER, InFlightRequests
from blaxel_mcp.server.sharing import ALONE, Sharing
from blaxel_mcp.settings.loading import Configuration

_ABSOLUTE_TARGET = re.compile(r"https?://([^/]+)(/.*)", re.IGNORECASE)
"""A request target that names the host, too (RFC 9112, section 3.2.2)."""

_METADATA_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}


class HttpApp:
    """An MCP server as an ASGI application, for one run.

    Only the probes and the OAuth metadata are open; their paths are compared byte by byte, as they are on the wire.
    Every other request is authenticated before anything else, its path included.

    Attributes:
        requests: The in-flight requests.
        asgi: The application itself.
    """

    def __init__(
        self,
        server: Server[Any],
        config: Configuration,
        address: Address,
        auth: CallerAuth,
        *,
        sharing: Sharing = ALONE,
    ) -> None:
        http, max_body_bytes = config.settings.http, config.settings.limits.max_argument_bytes
        self._auth = auth
        self._sharing = sharing
        are_several = http.auth in ("oauth", "caller") or len(http.bearer_tokens) > 1
        share = MAX_CONNECTIONS // 2 if are_several else None
        self.requests = InFlightRequests(share, sharing.cancel_requests if sharing.calls else None)
        _end_subscriptions_at_drain(server, self.requests)
        # Not the SDK's application: it routes requests by a pattern, which a path can match without being equal to it.
        self._sessions = StreamableHTTPSessionManager(
            server,
            # Event streams without sessions: a client of either era that disconnects cancels its request.
            json_response=False,
            stateless=True,
            # `check_names` has checked them.
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=max_body_bytes,
        )
        self._names = transport_security(http, address)
        self._max_body_bytes = max_body_bytes
        self._metadata = metadata_pages(http, address)
        # Without default origins: any page that is served on this machine could call otherwise.
        self.asgi: ASGIApp = self._with_cors(http.allowed_origins) if http.allowed_origins else self._serve

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the context lasts; requests that are in flight at its end are cancelled."""
        async with self._sessions.run():
            await self._sharing.obey(self.requests.cancel)
            yield

    async def calls_finished(self) -> None:
        """Wait until the calls that were handed back have ended: their answers are for other servers, too."""
        if self._sharing.calls:
            await self._sharing.calls.wait_idle()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            response = self._open_page(request)
            if response is None:
                await self._admit(request)
        except RefusedError as error:
            response = error.response()
        if response is None:
            if not request.state.with_events:
                send = JSONSender(send).send
            await self.requests.run(self._answer, for_the_sdk({**scope, "path": MCP_PATH}), receive, send)
        else:
            await response(scope, receive, send)

    def _with_cors(self, origins: Iterable[str]) -> ASGIApp:
        """Return the application with CORS for the pages of some origins. Any page may read the metadata."""
        # As `check_names` reads them: in any case, and `:*` at the end is any port.
        patterns = (re.escape(origin).replace(r":\*", r":\d+") for origin in origins)
        with_cors = CORSMiddleware(
            self._serve,
            allow_origin_regex=f"(?i:{'|'.join(patterns)})",
            # GET and DELETE too: a page gets their 405 where a refused preflight would be an exception.
            allow_methods=["POST", "GET", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=["WWW-Authenticate", "Retry-After", SESSION_HEADER],
        )

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            is_metadata = scope.get("raw_path") in self._metadata
            await (self._serve if is_metadata else with_cors)(scope, receive, send)

        return serve

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self._max_body_bytes)
        except RefusedError as error:
            await error.response()(scope, receive, send)
            return
        except ClientDisconnect:
            return
        if not body.is_valid:
            send = with_clear_refusals(send, body.request_id)
        await self.requests.pass_on(self._sessions.handle_request, body, scope, send)

    async def _admit(self, request: Request) -> None:
        """Set `state.caller` of an MCP request, and `state.with_events`, which is how it takes the answer.

        Raises RefusedError if the caller is not authenticated, or the request is not an MCP request.
        """
        if self.requests.is_draining:
            raise RefusedError(503, "unavailable", "The server is shutting down. Retry in a moment.", RETRY_SOON)
        request.state.caller = await self._auth.authenticate(request.headers)
        self.requests.require_share(request.state.caller)
        host, path = request.headers.get("host", ""), request.scope["path"]
        if absolute := _ABSOLUTE_TARGET.fullmatch(path):
            host, path = absolute[1], absolute[2]
        if path not in (MCP_PATH, f"{MCP_PATH}/"):
            raise RefusedError(404, "not_found", f"Not Found. The MCP endpoint is {MCP_PATH}.")
        if request.method != "POST":
            # Without sessions, there is none to DELETE, and a GET stream would stay empty.
            raise method_not_allowed("The MCP endpoint", "POST")
        check_names(self._names, host, request.headers)
        check_content_type(request.headers)
        request.state.with_events = answers_with_events(request.headers)

    def _open_page(self, request: Request) -> Response | None:
        """Return the public page at the request's path; None if there is none."""
        page: Response | None = None
        match request.scope.get("raw_path"):
            case b"/healthz":
                page = _probe_response("ok")
            case b"/readyz" if self.requests.is_draining:
                page = _probe_response("draining", HTTPStatus.SERVICE_UNAVAILABLE)
            case b"/readyz":
                page = _probe_response("ready")
            case path if path in self._metadata:
                # Browser clients read it before they have a token, and ask first, since they send a header of MCP.
                if request.method == "OPTIONS":
                    return Response(status_code=HTTPStatus.NO_CONTENT, headers=_METADATA_PREFLIGHT)
                page = JSONResponse(self._metadata[path], headers={"Access-Control-Allow-Origin": "*"})
        if page is not None and request.method not in ("GET", "HEAD"):
            raise method_not_allowed("This path", "GET, HEAD")
        return page


def _probe_response(state: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return JSONResponse({"status": state}, status, headers={"Cache-Control": "no-store"})


def _end_subscriptions_at_drain(server: Server[Any], requests: InFlightRequests) -> None:
    """Complete `subscriptions/listen` streams when the server shuts down, so that it does not wait for them."""
    entry = server.get_request_handler("subscriptions/listen")
    assert entry is not None
    listen = entry.handler

    async def listen_until_drained(
        context: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        assert context.request is not None
        with anyio.CancelScope() as scope:
            context.request.state.in_flight.until_drain = scope
            if requests.is_draining:
                scope.cancel()
            await listen(context, params)
        return types.SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: context.request_id})

    server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, listen_until_drained)
