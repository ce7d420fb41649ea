"""`blaxel-mcp serve --transport http`: the MCP server over HTTP, in one process or several."""

import argparse
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
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
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.http.address import MCP_PATH, Address, listen, require_safe, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import caller_auth_for
from blaxel_mcp.server.http.metrics import metrics_served, telemetry_for
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.server.http.workers import Supervisor, Workers
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.telemetry import start_telemetry
from blaxel_mcp.settings.loading import process_environment
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
                if config.settings.http.metrics_address:
                    raise ConfigurationError(
                        "http.metrics_address is set, and each of several workers would have metrics of its own.",
                        hint="Remove it, or --workers; workers can export their metrics by OTLP.",
                    )
                announce()
                return await _run_workers(options, address, listener)
            environment = Environment(telemetry=telemetry_for(config.settings.http, process_environment()))
            async with metrics_served(config.settings.http, environment.telemetry):
                server = build_server(config, environment=environment, over_http=True)
                app = HttpApp(server, config, address, caller_auth)
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
        work = partial(_work, options, address, (answers, Path(memory.name)))
        return await Workers(work, listener, options.workers).run()


def _work(
    options: argparse.Namespace,
    address: Address,
    folders: tuple[Path | None, Path],
    listener: socket,
    supervisor: Supervisor,
) -> int:
    """Run one worker process and return its exit code.

    Args:
        options: The command line.
        address: Where the server listens.
        folders: The folders that the workers share: for answers, if there is one, and for usage.
        listener: The listening socket.
        supervisor: The connection to the supervising process.
    """
    answers, usage = folders
    # In memory, each worker would count only its own calls.
    keep_memory_in(usage)

    async def serve() -> int:
        async with configured(options, **_overrides(options)) as config:
            environment = Environment(telemetry=start_telemetry(process_environment()))
            server = build_server(config, environment=environment, over_http=True, shared_answers=answers)
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
