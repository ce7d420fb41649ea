"""Several worker processes on one listening socket: started, restarted when one dies, and shut down together.

uvicorn's own supervisor signals its workers once, so a second signal cannot force the end; it restarts them at SIGHUP
instead of ending; and one worker cannot have another one cancel a request.
"""

import asyncio
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from socket import socket

import anyio
import anyio.abc
import anyio.to_thread

from blaxel_mcp.core.process import ExitCode, ending_signals, received_signals
from blaxel_mcp.server.http.cancellation import Cancel
from blaxel_mcp.server.http.server import DRAIN_SECONDS, Shutdown

logger = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
"""Delay before a dead worker is restarted, so that a fault that kills every worker does not spin."""

_KILL_SECONDS = 5.0
"""Time that workers have to exit after in-flight requests have been cancelled; then they are killed."""

Work = Callable[[socket, "Supervisor"], int]
"""Serves on the socket as one worker, and returns the exit code. It must be picklable."""

_SAFE_PATH = "PYTHONSAFEPATH"

_SERVING, _SHUT_DOWN, _FORCE = b"serving", b"shut down", b"force"
"""The messages between the supervising process and a worker; any other message is the key of a cancelled request.

Messages, not signals: a terminal or a service manager signals all processes at once, and a worker could not tell a
second signal from the first one that is passed on.
"""


class Supervisor:
    """A worker's connection to the process that started it.

    Args:
        connection: The worker's end of the pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def report_serving(self) -> None:
        """Report that this worker accepts connections."""
        self._connection.send_bytes(_SERVING)
        logger.info("worker %d is serving", os.getpid())

    def cancel_elsewhere(self, key: bytes) -> None:
        """Have the other workers cancel the requests with a key."""
        _send(self._connection, key)

    async def follow(self, shutdown: Shutdown, cancel: Cancel) -> None:
        """Carry out the supervisor's messages, and shut down when it is gone or at a SIGTERM.

        Args:
            shutdown: This worker's shutdown.
            cancel: Cancels the requests of this worker with a key.
        """
        loop = asyncio.get_running_loop()
        # Not anyio's threads: the interpreter would wait for this one at exit.
        threading.Thread(target=self._receive, args=(shutdown, cancel, loop), daemon=True).start()
        # SIGTERM is the only one left: `_run_worker` ignores the others.
        async with received_signals() as signals:
            async for _ in signals:
                shutdown.begin()

    def _receive(self, shutdown: Shutdown, cancel: Cancel, loop: asyncio.AbstractEventLoop) -> None:
        # A loop that is closed already raises RuntimeError: then there is nothing left to shut down.
        with suppress(RuntimeError):
            with suppress(EOFError, OSError):
                while message := self._connection.recv_bytes():
                    if message == _SHUT_DOWN:
                        loop.call_soon_threadsafe(shutdown.begin)
                    elif message == _FORCE:
                        loop.call_soon_threadsafe(shutdown.forced.set)
                    else:
                        loop.call_soon_threadsafe(cancel, message)
            loop.call_soon_threadsafe(shutdown.begin)


class Workers:
    """The worker processes of one server.

    Args:
        work: The work of each.
        listener: The listening socket that they share; this process closes it when the shutdown begins.
        count: The number of workers.
        drain_seconds: Time that a worker's in-flight requests have to finish.
    """

    def __init__(self, work: Work, listener: socket, count: int, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._work = work
        self._listener = listener
        self._count = count
        self._kill_seconds = drain_seconds + _KILL_SECONDS
        # Spawned, not forked: a worker inherits no state of this process.
        self._context = multiprocessing.get_context("spawn")
        self._connections: dict[SpawnProcess, Connection] = {}
        self._sending = threading.Lock()
        self._threads = anyio.CapacityLimiter(count)
        self._shutdown = Shutdown()

    async def run(self) -> int:
        """Keep the workers running until a signal comes or one of them cannot start; return the exit code."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._shutdown.watch_signals)
            group.start_soon(self._end_workers_at_shutdown)
            async with anyio.create_task_group() as workers:
                for _ in range(self._count):
                    workers.start_soon(self._keep_one_running)
            group.cancel_scope.cancel()
        return self._shutdown.exit_code

    async def _keep_one_running(self) -> None:
        while not self._shutdown.begun.is_set():
            process, has_served = await self._run_one()
            if self._shutdown.begun.is_set():
                return
            if not has_served:
                # It has printed the reason, and another one would fail for the same reason.
                self._shutdown.begin(max(process.exitcode or 0, ExitCode.FAILED))
                return
            logger.warning("worker %s exited with code %s and is restarted", process.pid, process.exitcode)
            with anyio.move_on_after(RESTART_SECONDS):
                await self._shutdown.begun.wait()

    async def _run_one(self) -> tuple[SpawnProcess, bool]:
        """Run a worker until it exits; return it, and whether it ever accepted connections."""
        connection, workers_end = self._context.Pipe()
        with connection:
            process = self._context.Process(
                target=_run_worker,
                args=(self._work, self._listener, workers_end),
                kwargs={"unset_safe_path": not sys.flags.safe_path},
            )
            with _safe_path():
                process.start()
            workers_end.close()
            self._connections[process] = connection
            attend = partial(self._attend, process, connection)
            has_served = await anyio.to_thread.run_sync(attend, abandon_on_cancel=True, limiter=self._threads)
            del self._connections[process]
            return process, has_served

    def _attend(self, process: SpawnProcess, connection: Connection) -> bool:
        """Pass on a worker's cancellations until it exits; return whether it ever accepted connections. It blocks."""
        has_served = False
        with suppress(EOFError, OSError):
            while message := connection.recv_bytes():
                if message == _SERVING:
                    has_served = True
                else:
                    self._broadcast(message, sender=connection)
        process.join()
        return has_served

    async def _end_workers_at_shutdown(self) -> None:
        await self._shutdown.begun.wait()
        logger.info("shutting down %d workers", len(self._connections))
        self._listener.close()
        self._broadcast(_SHUT_DOWN)
        with anyio.move_on_after(self._kill_seconds):
            await self._shutdown.forced.wait()
            self._broadcast(_FORCE)
            await anyio.sleep_forever()
        logger.warning("killing workers that have not exited within %g seconds", self._kill_seconds)
        for process in list(self._connections):
            process.kill()

    def _broadcast(self, message: bytes, *, sender: Connection | None = None) -> None:
        """Send a message to all workers but its sender."""
        with self._sending:
            for connection in list(self._connections.values()):
                if connection is not sender:
                    _send(connection, message)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Have child processes import nothing from the working directory while the context lasts.

    `multiprocessing` starts `python -c`, which searches that folder first. Only its copies of this interpreter's flags
    and the environment reach it; `_run_worker` removes the variable again, for the commands that a worker runs.
    """
    if sys.flags.safe_path:
        yield
        return
    os.putenv(_SAFE_PATH, "1")
    try:
        yield
    finally:
        os.unsetenv(_SAFE_PATH)


def _send(connection: Connection, message: bytes) -> None:
    """Send a short message without ever blocking: it is dropped if the other end has exited or does not read."""
    # Windows cannot tell whether there is room.
    with suppress(OSError, ValueError):
        if sys.platform == "win32" or select.select([], [connection], [], 0)[1]:
            connection.send_bytes(message)


def _run_worker(work: Work, listener: socket, connection: Connection, *, unset_safe_path: bool) -> None:
    if unset_safe_path:
        os.unsetenv(_SAFE_PATH)
    for number in ending_signals():
        if number != signal.SIGTERM:
            # A terminal signals all processes; the supervising one passes on what concerns the workers.
            signal.signal(number, signal.SIG_IGN)
    raise SystemExit(work(listener, Supervisor(connection)))
