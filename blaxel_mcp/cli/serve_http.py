"""`blaxel-mcp serve --transport http`: the MCP server over HTTP, in one process or several."""

import argparse
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.server.http.address import Address, check, listen, resolve
from blaxel_mcp.server.http.admission import Gate, gate_for
from blaxel_mcp.server.http.app import PATH, HttpApp, metadata_url, resource_url
from blaxel_mcp.server.http.server import ENDING_SIGNALS, Ending, serve_http
from blaxel_mcp.server.http.workers import Foreman, Workers
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
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
        check(config.settings.http, requested)
        listener, address = listen(requested)
        gate = _gate(config, address)

        def announce() -> None:
            print(f"serving MCP at {address.url}{PATH}", file=sys.stderr, flush=True)
            print(f"callers: {gate.announcement}", file=sys.stderr, flush=True)

        with closing(listener):
            if options.workers > 1:
                announce()
                return await _run_workers(options, address, listener)
            app = HttpApp(build_server(config), config, address, gate)
            ending = Ending()
            return await _serve_until(ending, partial(ending.watch_signals, *ENDING_SIGNALS), app, listener, announce)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    http = {"host": options.host, "port": options.port}
    # Only the worker that gave out a handle knows it, and the next request goes to any worker.
    limits = {"detach_after_seconds": 0} if options.workers > 1 else {}
    return {"http": http, **({"limits": limits} if limits else {})}


def _gate(config: Configuration, address: Address) -> Gate:
    return gate_for(config, metadata_url(resource_url(config.settings.http, address)))


async def _serve_until(
    ending: Ending,
    watch: Callable[[], Coroutine[Any, Any, None]],
    app: HttpApp,
    listener: socket,
    started: Callable[[], None],
) -> int:
    """Serve until `watch` begins the ending, and return the exit code."""
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await serve_http(app, listener, ending, started=started)
        group.cancel_scope.cancel()
    return ending.exit_code


async def _run_workers(options: argparse.Namespace, address: Address, listener: socket) -> int:
    logger.info("with several workers, no slow call is handed back as a handle: only one of them would know it")
    spool = Spool(default_spools())
    answers: Path | None = None
    try:
        try:
            answers = await anyio.to_thread.run_sync(spool.open)
        except OSError as error:
            logger.warning(
                "cannot make a folder for the answers of all workers (%s); only the worker that gave an answer has it",
                error.strerror,
            )
        return await Workers(partial(_work, options, address, answers), listener, options.workers).run()
    finally:
        spool.close()


def _work(
    options: argparse.Namespace, address: Address, answers: Path | None, listener: socket, foreman: Foreman
) -> int:
    """Run one worker process and return its exit code."""
    configure_logging(options.log_level, options.log_format)
    try:
        return anyio.run(partial(_serve_as_worker, options, address, answers, listener, foreman))
    except BlaxelError as error:
        return print_error(error)


async def _serve_as_worker(
    options: argparse.Namespace, address: Address, answers: Path | None, listener: socket, foreman: Foreman
) -> int:
    async with configured(options, **_overrides(options)) as config:
        server, gate = build_server(config, shared_answers=answers), _gate(config, address)
        app = HttpApp(server, config, address, gate, cancel_elsewhere=foreman.cancel_elsewhere)
        ending = Ending()
        follow = partial(foreman.follow, ending, app.cancelling.cancel)
        return await _serve_until(ending, follow, app, listener, foreman.tell_serving)
