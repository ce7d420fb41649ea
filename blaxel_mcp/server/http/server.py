"""Serve HTTP on a socket until shutdown, in one process or in several, and give in-flight requests time to finish."""

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from socket import socket
from types import FrameType
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals, wait_until_orphaned
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.requests import MAX_CONNECTIONS
from blaxel_mcp.settings.schema import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""Default time for in-flight requests to finish after the shutdown has begun."""

_IDLE_SECONDS = 75
"""Time that an idle connection stays open. Proxies keep theirs for a minute; if the server closed first, a request in
transit would fail."""

_CLOSE_SECONDS = 1
"""Time that connections have to close after their last response."""


SERVER_OPTIONS: dict[str, Any] = {
    "interface": "asgi3",
    "http": "h11",
    "ws": "none",
    # Logging is set up already, and access logs would contain callers' URLs.
    "log_config": None,
    "access_log": False,
    "server_header": False,
    # Any caller could send these headers.
    "proxy_headers": False,
    "limit_concurrency": MAX_CONNECTIONS,
    "timeout_keep_alive": _IDLE_SECONDS,
}
"""How uvicorn serves, in one process and in each worker."""

Open = Callable[[], AbstractAsyncContextManager[HttpApp]]
"""Builds the application of a worker, and closes what it opened."""


def drain_seconds_of(settings: Settings) -> float:
    """Return how long running calls may finish after the shutdown has begun.

    With `[shared]`, other servers can return the answer, so a call that has been sent is worth waiting for.
    """
    if settings.http.drain_seconds is not None:
        return settings.http.drain_seconds
    return settings.limits.timeout_seconds if settings.shared.url else DRAIN_SECONDS


class Shutdown:
    """The state of a server's shutdown.

    Attributes:
        begun: Set when the server is to shut down, after its in-flight requests.
        forced: Set when it is to stop waiting for them.
        exit_code: The exit code of the process.
    """

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.forced = anyio.Event()
        self.exit_code: int = ExitCode.OK

    def begin(self, exit_code: int = ExitCode.OK) -> None:
        """Begin the shutdown; once it has begun, this changes nothing."""
        if not self.begun.is_set():
            self.exit_code = exit_code
            self.begun.set()

    async def watch_signals(self) -> None:
        """Begin at the first ending signal and force at the second. A third one has its default action."""
        with received_signals() as signals:
            async for received in signals:
                if self.begun.is_set():
                    self.forced.set()
                    return
                self.begin(exit_code_after(received))


async def serve_http(
    app: HttpApp,
    listener: socket,
    shutdown: Shutdown,
    *,
    started: Callable[[], None],
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve on a socket until the shutdown has begun and in-flight requests have finished.

    The socket is closed when the shutdown begins. Requests in flight `drain_seconds` later are cancelled, upstream too.
    `started` is called when the server accepts connections.
    """
    server = _Server(app, started)
    async with app.running(), anyio.create_task_group() as group:
        group.start_soon(_drain_at_shutdown, server, app, shutdown, drain_seconds)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


class EmbeddedServer(uvicorn.Server):
    """uvicorn's server without its signal handlers: at a signal, it would abort requests.

    Options of uvicorn take the place of those in `SERVER_OPTIONS`.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        own = {"lifespan": "off", "timeout_graceful_shutdown": _CLOSE_SECONDS}
        super().__init__(uvicorn.Config(app, **SERVER_OPTIONS | own | options))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `Shutdown`."""
        yield


class _Server(EmbeddedServer):
    """A server that reports when it listens."""

    def __init__(self, app: HttpApp, started: Callable[[], None]) -> None:
        super().__init__(app.asgi)
        self._started = started
        self.is_listening = anyio.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()
        self._started()


async def _drain_at_shutdown(server: _Server, app: HttpApp, shutdown: Shutdown, drain_seconds: float) -> None:
    """When the shutdown begins: stop accepting, wait for requests and handed-back calls, cancel the rest, and stop."""
    await shutdown.begun.wait()
    await server.is_listening.wait()
    app.requests.drain()
    for listening in server.servers:
        # Open connections stay.
        listening.close()
    count = app.requests.count
    logger.info("shutting down; waiting for %d request%s in flight", count, "" if count == 1 else "s")
    with anyio.move_on_after(drain_seconds):
        async with anyio.create_task_group() as group:

            async def stop_waiting() -> None:
                await shutdown.forced.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop_waiting)
            await app.requests.wait_finished()
            await app.calls_finished()
            group.cancel_scope.cancel()
    app.requests.cancel_all()
    server.should_exit = True


def run_workers(factory: str, descriptor: int, count: int, drain_seconds: float) -> None:
    """Run worker processes until a signal ends them, and replace those that die. It blocks.

    `factory` is the import path of a function that returns the `Worker`; `descriptor` is the listening socket that they
    share.
    """
    uvicorn.run(
        factory,
        factory=True,
        fd=descriptor,
        workers=count,
        lifespan="on",
        # A worker answers once Python has started and imported the server, which takes a second or two.
        timeout_worker_healthcheck=15,
        # Each worker has answered its requests by then.
        **{**SERVER_OPTIONS, "timeout_graceful_shutdown": math.ceil(drain_seconds) + _CLOSE_SECONDS},
    )


class Worker:
    """The ASGI application of a worker.

    A BlaxelError of `open_app` ends the worker and the server; `report` prints it. Handed-back calls have
    `drain_seconds` to finish, after requests in flight. The process of the `supervisor` may have ended while this one
    started.
    """

    def __init__(
        self, open_app: Open, report: Callable[[BlaxelError], object], drain_seconds: float, supervisor: int
    ) -> None:
        self._open_app = open_app
        self._report = report
        self._drain_seconds = drain_seconds
        self._supervisor = supervisor
        self._app: HttpApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or start and end with the worker."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app.asgi(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._open_app() as app, app.running(), anyio.create_task_group() as group:
                self._app = app
                await group.start(self._drain_at_signal, app)
                group.start_soon(self._end_with_supervisor)
                await send({"type": "lifespan.startup.complete"})
                logger.info("worker %d is serving", os.getpid())
                await receive()
                with anyio.move_on_after(self._drain_seconds):
                    await app.calls_finished()
                group.cancel_scope.cancel()
        except BlaxelError as error:
            self._report(error)
            await send({"type": "lifespan.startup.failed"})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _drain_at_signal(self, app: HttpApp, *, task_status: TaskStatus[None]) -> None:
        """Start to drain at the signal itself: uvicorn notifies the application only after the last request."""
        loop, received = asyncio.get_running_loop(), anyio.Event()
        stop: Any = signal.getsignal(signal.SIGTERM)

        def begin(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(received.set)
            if callable(stop):
                stop(number, frame)

        signal.signal(signal.SIGTERM, begin)
        task_status.started()
        await received.wait()
        app.requests.drain()
        await anyio.sleep(self._drain_seconds)
        app.requests.cancel_all()

    async def _end_with_supervisor(self) -> None:
        await wait_until_orphaned(self._supervisor)
        signal.raise_signal(signal.SIGTERM)
