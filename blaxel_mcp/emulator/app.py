"""The emulated platform as a Starlette application."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response

from blaxel_mcp.emulator.control_plane import ControlPlaneRoutes
from blaxel_mcp.emulator.gateway import Gateway
from blaxel_mcp.emulator.middleware import RecordingMiddleware
from blaxel_mcp.emulator.oauth import TokenRoute
from blaxel_mcp.emulator.platform.errors import RefusalError
from blaxel_mcp.emulator.platform.state import Emulator

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
