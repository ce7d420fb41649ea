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

from blaxel_mcp.cli.options import configured
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.server.http.address import MCP_PATH, Address, listen, require_safe, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import CallerAuth, caller_auth_for
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.server.http.workers import Supervisor, Workers
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.tools.store.spool import Spool, default_spools

logger = logging.getLogger(__name__)


def serve_over_http(options: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit code.

    The line `serving MCP at URL` on stderr says where, with the port that was got.

    Raises:
        ConfigurationError: the settings cannot be used, say too little about who may call, or name an address that
            cannot be listened on.
    """
    return anyio.run(partial(_serve, options))


async def _serve(options: argparse.Namespace) -> int:
    async with configured(options, **_overrides(options)) as config:
        listener, address = _listen(config)
        with closing(listener):
            gate = _gate(config, address)
            tell = partial(_tell, address, gate)
            if options.workers > 1:
                tell()
                return await _lead_workers(options, address, listener)
            app = HttpApp(build_server(config), config, address, gate)
            ending = Shutdown()
            return await _serve_until(ending, ending.watch_signals, app, listener, tell)


async def _lead_workers(options: argparse.Namespace, address: Address, listener: socket) -> int:
    logger.info("several workers hand no call back as a handle, which only one of them would know")
    spool = Spool(default_spools())
    try:
        shared = await anyio.to_thread.run_sync(_shared_folder, spool)
        return await Workers(partial(_work, options, address, shared), listener, options.workers).run()
    finally:
        spool.close()


def _shared_folder(spool: Spool) -> Path | None:
    """The folder in which workers find each other's answers; None where there can be none."""
    try:
        return spool.open()
    except OSError as error:
        logger.warning(
            "an answer is known only to the worker that gave it: no folder for them all (%s)", error.strerror
        )
        return None


async def _serve_until(
    ending: Shutdown,
    watch: Callable[[], Coroutine[Any, Any, None]],
    app: HttpApp,
    listener: socket,
    started: Callable[[], None],
) -> int:
    """Serve until what is watched begins the ending; the exit code."""
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await serve_http(app, listener, ending, started=started)
        group.cancel_scope.cancel()
    return ending.exit_code


def _listen(config: Configuration) -> tuple[socket, Address]:
    wanted = resolve(config.settings.http)
    require_safe(config.settings.http, wanted)
    return listen(wanted)


def _gate(config: Configuration, address: Address) -> CallerAuth:
    return caller_auth_for(config, address)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    http = {"host": options.host, "port": options.port}
    # A handle would be good at the one worker that gave it, and the next request goes to any of them.
    return {"http": http, **({"limits": {"detach_after_seconds": 0}} if options.workers > 1 else {})}


def _tell(address: Address, gate: CallerAuth) -> None:
    print(f"serving MCP at {address.url}{MCP_PATH}", file=sys.stderr, flush=True)
    print(f"callers: {gate.announcement}", file=sys.stderr, flush=True)


def _work(
    options: argparse.Namespace, address: Address, shared: Path | None, listener: socket, foreman: Supervisor
) -> int:
    """Be one of several workers."""
    configure_logging(options.log_level, options.log_format)
    try:
        return anyio.run(partial(_serve_as_worker, options, address, shared, listener, foreman))
    except BlaxelError as error:
        print(f"blaxel-mcp: {error.code}: {error}", file=sys.stderr)
        return ExitCode.USAGE if error.code == "configuration_error" else ExitCode.FAILED


async def _serve_as_worker(
    options: argparse.Namespace, address: Address, shared: Path | None, listener: socket, foreman: Supervisor
) -> int:
    async with configured(options, **_overrides(options)) as config:
        server, gate = build_server(config, shared_answers=shared), _gate(config, address)
        app = HttpApp(server, config, address, gate, cancel_elsewhere=foreman.cancel_elsewhere)
        ending = Shutdown()
        follow = partial(foreman.follow, ending, app.cancellations.cancel)
        return await _serve_until(ending, follow, app, listener, foreman.report_serving)
