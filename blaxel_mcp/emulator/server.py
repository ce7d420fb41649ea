"""Serve an emulated platform on a port until its context ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from blaxel_mcp.emulator.control_plane import ControlPlaneRoutes
from blaxel_mcp.emulator.faults.streams import CLOSE_CONNECTION
from blaxel_mcp.emulator.gateway import Gateway
from blaxel_mcp.emulator.middleware import RecordingMiddleware
from blaxel_mcp.emulator.oauth import TokenRoute
from blaxel_mcp.emulator.platform.errors import RefusalError
from blaxel_mcp.emulator.platform.state import Emulator
from blaxel_mcp.emulator.platform.upstream import Upstream

ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def create_app(emulator: Emulator) -> Starlette:
    """Return the application that serves an emulated platform.

    It runs under any ASGI server, except for the faults that cut a connection, which need `run_emulator`.
    """

    async def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusalError)
        return error.response

    control_plane = ControlPlaneRoutes(emulator)
    app = Starlette(
        routes=[
            Route("/v0/oauth/token", TokenRoute(emulator).exchange, methods=["POST"]),
            Route("/v0/models", control_plane.list_models, methods=["GET"]),
            Route("/v0/models/{name}", control_plane.get_model, methods=["GET"]),
            Route("/v0/integrations/{type}", control_plane.get_integration, methods=["GET"]),
            Route("/v0/{path:path}", control_plane.not_found, methods=ANY_METHOD),
        ],
        middleware=[Middleware(RecordingMiddleware, emulator=emulator)],
        exception_handlers={RefusalError: refuse},
    )
    app.router.redirect_slashes = False
    # Not a route: no route pattern matches every path, such as one with a line feed in it.
    app.router.default = request_response(Gateway(emulator).answer)
    return app


SHUTDOWN_SECONDS = 0.5
"""Time for requests in flight to notice that their connection is gone."""


@asynccontextmanager
async def run_emulator(
    *, host: str = "127.0.0.1", port: int = 0, upstream: Upstream | None = None, emulator: Emulator | None = None
) -> AsyncIterator[Emulator]:
    """Serve an emulated platform while the context lasts.

    It accepts connections as soon as the context is entered. At the end of the context it stops
    at once, and requests in flight are cut off.

    Args:
        host: The address to listen on.
        port: The port; 0 takes any free one.
        upstream: Answers chat completions and embeddings in place of the emulator.
        emulator: The platform to serve, whose `url` is set; a new demo workspace if omitted.

    Raises:
        OSError: The emulator cannot listen on the address and port.
    """
    emulator = emulator or Emulator()
    emulator.upstream = upstream or emulator.upstream
    listener = _bind(host, port)
    address, port = listener.getsockname()[:2]
    emulator.url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    connections = ServerState()
    server = await _start(emulator, listener, connections)
    try:
        yield emulator
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(server, connections)


class _ClosableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 connection, with an ASGI extension to close it before the response is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        # asyncio does this for sockets that name their protocol, which those of `create_server` do not. Without
        # it, headers and body go out forty milliseconds apart.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = self.app

        async def closable_app(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {**scope.get("extensions", {}), CLOSE_CONNECTION: transport.close}
            await app(scope, receive, send)

        self.app = closable_app


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # The standard library repeats the address.
        reason = str(error.strerror).partition(" (while")[0]
        raise OSError(f"The emulator cannot listen on {host} port {port}: {reason}.") from error


async def _start(emulator: Emulator, listener: socket.socket, connections: ServerState) -> asyncio.Server:
    """Accept connections with uvicorn's protocol, but without its server.

    `uvicorn.Server` replaces the process's signal handlers, and stops only after the answers in
    flight are complete.
    """
    config = Config(
        create_app(emulator),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    return await asyncio.get_running_loop().create_server(
        lambda: _ClosableProtocol(config, connections, app_state={}), sock=listener
    )


async def _stop(server: asyncio.Server, connections: ServerState) -> None:
    server.close()
    while connections.connections:
        for connection in list(connections.connections):
            connection.transport.abort()
        # The event loop closes an aborted connection, and wakes its request, in its next iteration.
        await asyncio.sleep(0)
    if connections.tasks:
        await asyncio.wait(connections.tasks, timeout=SHUTDOWN_SECONDS)
    with anyio.move_on_after(SHUTDOWN_SECONDS):
        await server.wait_closed()
