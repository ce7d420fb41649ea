"""Prometheus text at `/metrics`, on an address of its own: `http.metrics_address`.

Metrics name models and workspaces, and have no prompts, answers, credentials or callers. Nobody is authenticated there,
so the address is on loopback unless the setting names another one.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from http import HTTPStatus

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.inference.instruments import CONTENT_TYPE, PrometheusRecorder
from blaxel_mcp.inference.telemetry import Telemetry
from blaxel_mcp.server.http.address import Address, listen, resolve_metrics
from blaxel_mcp.server.http.server import EmbeddedServer
from blaxel_mcp.server.telemetry import start_telemetry
from blaxel_mcp.settings.http import HttpSettings

logger = logging.getLogger(__name__)

METRICS_PATH = "/metrics"

_MAX_CONNECTIONS = 32


def telemetry_for(http: HttpSettings, environ: Mapping[str, str]) -> Telemetry | None:
    """Return the telemetry of a server over HTTP: that of `start_telemetry`, otherwise one for the metrics alone."""
    return start_telemetry(environ) or (Telemetry() if http.metrics_address else None)


class MetricsApp:
    """The page, as an ASGI application."""

    def __init__(self, telemetry: Telemetry, recorder: PrometheusRecorder, address: Address) -> None:
        self._telemetry = telemetry
        self._recorder = recorder
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope)
        response: Response
        # Not `request.url`: for a header that is no host, it has the server's own address.
        host = re.sub(r":\d+$", "", request.headers.get("host", ""))
        if self._address.is_loopback and not is_loopback(host):
            # A web page that points a host name of its own at loopback could read it otherwise.
            response = PlainTextResponse("Use the address itself as the host.\n", HTTPStatus.MISDIRECTED_REQUEST)
        elif scope.get("raw_path") != METRICS_PATH.encode():
            response = PlainTextResponse(f"The metrics are at {METRICS_PATH}.\n", HTTPStatus.NOT_FOUND)
        elif request.method not in ("GET", "HEAD"):
            response = PlainTextResponse("Use GET.\n", HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        else:
            # The budget's gauges are read from the ledger, which may block.
            gauges = await anyio.to_thread.run_sync(self._telemetry.read_gauges)
            headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
            response = PlainTextResponse(self._recorder.text(gauges), headers=headers)
        await response(scope, receive, send)


@asynccontextmanager
async def metrics_served(http: HttpSettings, telemetry: Telemetry | None) -> AsyncIterator[Address | None]:
    """Record and serve the metrics while the context lasts; yields where, None if the settings say nowhere.

    Raises ConfigurationError for an address that cannot be listened on.
    """
    requested = resolve_metrics(http)
    if requested is None or telemetry is None:
        yield None
        return
    listener, address = listen(requested, hint="Set http.metrics_address to a free port, or remove it.")
    recorder = PrometheusRecorder()
    telemetry.recorders.append(recorder.record)
    with closing(listener):
        app = MetricsApp(telemetry, recorder, address)
        server = EmbeddedServer(app, limit_concurrency=_MAX_CONNECTIONS, timeout_keep_alive=5)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            logger.info("serving metrics at %s%s", address.url, METRICS_PATH)
            yield address
            server.should_exit = True
