"""`blaxel-mcp serve --transport http`: the MCP server over HTTP, in one process or several."""

import argparse
import logging
import secrets
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.budget.ledger import keep_memory_in
from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.server.http.address import MCP_PATH, Address, listen, require_safe, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import caller_auth_for
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.server.http.workers import Supervisor, Workers
from blaxel_mcp.server.server import build_server
from blaxel_mcp.tools.store.spool import Spool, default_spools

logger = logging.getLogger(__name__)


async def serve_over_http(options: argparse.Namespace) -> int:
    """Serve until a signal arrives, and return the exit code.

    Once connections are accepted, stderr has the lines `serving MCP at URL`, with the actual port, and `callers: ...`.

    Raises:
        ConfigurationError: The settings cannot be used, do not say who may call, or name an address that cannot be
            listened on.
    """
    async with configured(options, **_overrides(options)) as config:
        requested = resolve(config.settings.http)
        require_safe(config.settings.http, requested)
        listener, address = listen(requested)
        with closing(listener):
            caller_auth = caller_auth_for(config, address)

            def announce() -> None:
                # Nobody may read stderr.
                with suppress(OSError, ValueError):
                    print(f"serving MCP at {address.url}{MCP_PATH}", file=sys.stderr, flush=True)
                    print(f"callers: {caller_auth.announcement}", file=sys.stderr, flush=True)

            if options.workers > 1:
                announce()
                return await _run_workers(options, address, listener)
            app = HttpApp(build_server(config, over_http=True), config, address, caller_auth)
            shutdown = Shutdown()
            return await _serve_until(shutdown, shutdown.watch_signals, app, listener, announce)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    http = {"host": options.host, "port": options.port}
    # Only the worker that gave out a handle knows it, and the next request goes to any worker.
    limits = {"detach_after_seconds": 0} if options.workers > 1 else {}
    return {"http": http, **({"limits": limits} if limits else {})}


async def _serve_until(
    shutdown: Shutdown,
    watch: Callable[[], Coroutine[Any, Any, None]],
    app: HttpApp,
    listener: socket,
    started: Callable[[], None],
) -> int:
    """Serve until `watch` begins the shutdown, and return the exit code."""
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await serve_http(app, listener, shutdown, started=started)
        group.cancel_scope.cancel()
    return shutdown.exit_code


async def _run_workers(options: argparse.Namespace, address: Address, listener: socket) -> int:
    logger.info("with several workers, no slow call is handed back as a handle: only one of them would know it")
    answers: Path | None = None
    memory = TemporaryDirectory(prefix="blaxel-mcp-", ignore_cleanup_errors=True)
    with closing(Spool(default_spools())) as spool, memory:
        try:
            answers = await anyio.to_thread.run_sync(spool.open)
        except OSError as error:
            logger.warning(
                "cannot make a folder for the answers of all workers (%s); only the worker that gave an answer has it",
                error.strerror,
            )
        shared = _Shared(answers, Path(memory.name), secrets.token_bytes(32))
        work = partial(_work, options, address, shared)
        return await Workers(work, listener, options.workers).run()


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all workers share.

    Attributes:
        answers: The folder for answers, if there is one.
        usage: The folder for usage.
        state_key: Seals the state of questions to a person.
    """

    answers: Path | None
    usage: Path
    state_key: bytes = field(repr=False)


def _work(
    options: argparse.Namespace, address: Address, shared: _Shared, listener: socket, supervisor: Supervisor
) -> int:
    """Run one worker process and return its exit code.

    Args:
        options: The command line.
        address: Where the server listens.
        shared: What the workers share.
        listener: The listening socket.
        supervisor: The connection to the supervising process.
    """
    # In memory, each worker would count only its own calls.
    keep_memory_in(shared.usage)

    async def serve() -> int:
        async with configured(options, **_overrides(options)) as config:
            server = build_server(config, over_http=True, shared_answers=shared.answers, state_key=shared.state_key)
            caller_auth = caller_auth_for(config, address)
            app = HttpApp(server, config, address, caller_auth, cancel_elsewhere=supervisor.cancel_elsewhere)
            shutdown = Shutdown()
            follow = partial(supervisor.follow, shutdown, app.cancellations.cancel)
            return await _serve_until(shutdown, follow, app, listener, supervisor.report_serving)

    configure_logging(options.log_level, options.log_format)
    try:
        return anyio.run(serve)
    except BlaxelError as error:
        return print_error(error)
