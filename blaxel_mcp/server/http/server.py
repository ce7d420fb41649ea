"""The HTTP transport: one process that answers on a socket, and an end that loses as little as it can."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket

import anyio
import uvicorn

from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals
from blaxel_mcp.server.http.app import HttpApp

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""How long requests in flight may go on once the server is stopped."""

_MOST_CONNECTIONS = 400
"""Connections of one process: many systems give it 1024 descriptors, and each call takes a second one upstream."""

_IDLE_SECONDS = 75
"""How long a connection is kept for another request: proxies in front keep theirs for a minute, and one that we close
while they send over it is an error to their client."""

_CLOSING_SECONDS = 1
"""How long connections may take to close that are done with."""


class Ending:
    """When and how fast a server ends.

    Attributes:
        begun: It is to end, with what is in flight answered.
        hurried: It is to end at once.
        exit_code: What the process ends with.
    """

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.hurried = anyio.Event()
        self.exit_code: int = ExitCode.OK

    def begin(self, exit_code: int = ExitCode.OK) -> None:
        """End; if that has begun, nothing changes."""
        if not self.begun.is_set():
            self.exit_code = exit_code
            self.begun.set()

    async def watch_signals(self) -> None:
        """Begin at the first ending signal and hurry at the second; a third one does what it does by default."""
        async with received_signals() as signals:
            async for received in signals:
                if self.begun.is_set():
                    self.hurried.set()
                    return
                self.begin(exit_code_after(received))


async def serve_http(
    app: HttpApp,
    listener: socket,
    ending: Ending,
    *,
    started: Callable[[], None],
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve on a socket until the ending has begun, and then until what is in flight is over.

    Args:
        app: What to serve.
        listener: Where connections wait; closed at the end.
        ending: Begins when the server is to end.
        started: Called when connections are accepted.
        drain_seconds: How long requests in flight may go on from then; those still there are stopped, upstream too.
    """
    server = _Server(app, started)
    async with app.running(), anyio.create_task_group() as group:
        group.start_soon(_wind_down, server, app, ending, drain_seconds)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """uvicorn's server, with its signals and its startup left to us."""

    def __init__(self, app: HttpApp, started: Callable[[], None]) -> None:
        super().__init__(_config(app))
        self._started = started
        self.listening = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
        self._started()

    def stop_accepting(self) -> None:
        """Close the socket; connections that are there already stay."""
        for server in self.servers:
            server.close()


def _config(app: HttpApp) -> uvicorn.Config:
    return uvicorn.Config(
        app.asgi,
        http="h11",
        ws="none",
        lifespan="off",
        # Our own logging is set up already, and a line for each request would hold what is in its URL.
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever calls could write these headers.
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_CLOSING_SECONDS,
    )


async def _wind_down(server: _Server, app: HttpApp, ending: Ending, drain_seconds: float) -> None:
    await ending.begun.wait()
    await server.listening.wait()
    app.traffic.drain()
    server.stop_accepting()
    logger.info("the server ends; waiting for %d requests in flight", app.traffic.in_flight)
    with anyio.move_on_after(drain_seconds):
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after, ending.hurried, group.cancel_scope)
            await app.traffic.wait_over()
            group.cancel_scope.cancel()
    app.traffic.cut_off()
    server.should_exit = True


async def _cancel_after(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
