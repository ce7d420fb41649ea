"""Several processes on one socket: started, replaced when one dies, and ended together."""

import asyncio
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from socket import socket

import anyio
import anyio.abc
import anyio.to_thread

from blaxel_mcp.core.process import ExitCode, ending_signals, received_signals
from blaxel_mcp.server.http.cancellation import Cancel
from blaxel_mcp.server.http.server import DRAIN_SECONDS, Ending

logger = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
"""How long a place stays empty after a worker has died, so that a fault that kills them all does not spin."""

_KILL_SECONDS = DRAIN_SECONDS + 5.0
"""How long workers may take to end before they are killed."""

Work = Callable[[socket, "Foreman"], int]
"""What a worker does, picklable: serves on the socket, as the first process wants it, and gives an exit code."""

_SERVING, _END, _HURRY = b"serving", b"end", b"hurry"
"""What goes between the first process and a worker, besides the keys of requests that a client has cancelled.

Not signals: a terminal or a supervisor of services sends those to all processes at once, and a worker could not tell
a second one that means "at once" from the first one, passed on.
"""


class Foreman:
    """The first process, as a worker knows it.

    Args:
        line: Leads there.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line

    def tell_serving(self) -> None:
        """Say that this worker has begun."""
        self._line.send_bytes(_SERVING)
        logger.info("worker %d is serving", os.getpid())

    def cancel_elsewhere(self, key: bytes) -> None:
        """Have the other workers cancel a request, of which this one knows nothing but the key."""
        _send(self._line, key)

    async def follow(self, ending: Ending, cancel: Cancel) -> None:
        """End when the first process says so or is gone, and at a SIGTERM meant for this worker alone.

        Args:
            ending: This worker's.
            cancel: Is called with the key of a request that another worker was told to cancel.
        """
        todo = {_END: ending.begin, _HURRY: ending.hurried.set}
        # A thread that the interpreter does not wait for at its end, as it does for those of anyio.
        threading.Thread(target=self._listen, args=(todo, cancel, asyncio.get_running_loop()), daemon=True).start()
        # Of SIGTERM alone: `_run_worker` ignores the others.
        async with received_signals() as signals:
            async for _ in signals:
                ending.begin()

    def _listen(
        self, todo: Mapping[bytes, Callable[[], None]], cancel: Cancel, loop: asyncio.AbstractEventLoop
    ) -> None:
        # The loop may be closed already: then there is nothing left to end.
        with suppress(RuntimeError):
            while told := self._next():
                loop.call_soon_threadsafe(todo.get(told) or partial(cancel, told))
            loop.call_soon_threadsafe(todo[_END])

    def _next(self) -> bytes:
        try:
            return self._line.recv_bytes()
        except (EOFError, OSError):
            return b""


class Workers:
    """The worker processes of one server.

    Args:
        work: What each does.
        listener: Where the connections wait that they share; closed when they are told to end.
        count: How many there are.
    """

    def __init__(self, work: Work, listener: socket, count: int) -> None:
        self._work = work
        self._listener = listener
        self._count = count
        # A process of its own from the beginning: nothing of this one's state is in it.
        self._context = multiprocessing.get_context("spawn")
        self._lines: dict[SpawnProcess, Connection] = {}
        self._sending = threading.Lock()
        self._threads = anyio.CapacityLimiter(count)
        self._ending = Ending()

    async def run(self) -> int:
        """Keep them going until a signal comes or one of them cannot begin; the exit code."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._ending.watch_signals)
            group.start_soon(self._wind_down)
            async with anyio.create_task_group() as places:
                for _ in range(self._count):
                    places.start_soon(self._keep_filled)
            group.cancel_scope.cancel()
        return self._ending.exit_code

    async def _keep_filled(self) -> None:
        """Keep one place filled."""
        while not self._ending.begun.is_set():
            process, has_served = await self._run_one()
            if self._ending.begun.is_set():
                return
            if not has_served:
                # It has told why on stderr, and the next one would fail at the same.
                self._ending.begin(max(process.exitcode or 0, ExitCode.FAILED))
                return
            logger.warning("worker %s has ended with exit code %s and is replaced", process.pid, process.exitcode)
            with anyio.move_on_after(RESTART_SECONDS):
                await self._ending.begun.wait()

    async def _run_one(self) -> tuple[SpawnProcess, bool]:
        """Run a worker to its end; whether it ever served."""
        line, workers_end = self._context.Pipe()
        with line:
            process = self._context.Process(target=_run_worker, args=(self._work, self._listener, workers_end))
            process.start()
            workers_end.close()
            self._lines[process] = line
            attend = partial(self._attend, process, line)
            has_served = await anyio.to_thread.run_sync(attend, abandon_on_cancel=True, limiter=self._threads)
            del self._lines[process]
            return process, has_served

    def _attend(self, process: SpawnProcess, line: Connection) -> bool:
        """Pass on what a worker tells until it has ended; whether it ever served. It blocks: call it in a thread."""
        has_served = False
        with suppress(EOFError, OSError):
            while told := line.recv_bytes():
                if told == _SERVING:
                    has_served = True
                else:
                    self._tell(told, but=line)
        process.join()
        return has_served

    async def _wind_down(self) -> None:
        await self._ending.begun.wait()
        self._listener.close()
        self._tell(_END)
        with anyio.move_on_after(_KILL_SECONDS):
            await self._ending.hurried.wait()
            self._tell(_HURRY)
            await anyio.sleep_forever()
        logger.warning("workers that have not ended within %g seconds are killed", _KILL_SECONDS)
        for process in list(self._lines):
            process.kill()

    def _tell(self, what: bytes, *, but: Connection | None = None) -> None:
        with self._sending:
            for line in list(self._lines.values()):
                if line is not but:
                    _send(line, what)


def _send(line: Connection, what: bytes) -> None:
    """Send something short without ever waiting: to one that has ended, or reads no more, it is not sent."""
    # Windows cannot tell whether there is room.
    with suppress(OSError, ValueError):
        if sys.platform == "win32" or select.select([], [line], [], 0)[1]:
            line.send_bytes(what)


def _run_worker(work: Work, listener: socket, line: Connection) -> None:
    for number in ending_signals():
        if number != signal.SIGTERM:
            # A terminal sends these to all processes, and the first one passes on what is meant for us.
            signal.signal(number, signal.SIG_IGN)
    raise SystemExit(work(listener, Foreman(line)))
