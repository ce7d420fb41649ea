"""One of several worker processes below uvicorn's supervisor: an ASGI application that starts and drains itself.

Each worker is a server of its own; they have only the shared state of `[shared]` in common.
"""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.server import SERVER_OPTIONS
from blaxel_mcp.server.stdio.parent import wait_until_orphaned

logger = logging.getLogger(__name__)

Open = Callable[[], AbstractAsyncContextManager[HttpApp]]
"""Builds the application of a worker, and closes what it opened."""


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
        **{**SERVER_OPTIONS, "timeout_graceful_shutdown": max(1, round(drain_seconds))},
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
                _drain_at_signal(app)
                group.start_soon(_end_with_supervisor, self._supervisor)
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


def _drain_at_signal(app: HttpApp) -> None:
    """Start to drain at the signal itself: uvicorn notifies the application only after the last request."""
    stop: Any = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        app.requests.drain()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, drain)


async def _end_with_supervisor(supervisor: int) -> None:
    await wait_until_orphaned(supervisor)
    signal.raise_signal(signal.SIGTERM)
