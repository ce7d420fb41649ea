"""`blaxel-mcp serve --transport http`: the MCP server over HTTP, in one process or several."""

import argparse
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict
from socket import AddressFamily, socket
from typing import Any

import anyio

from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.inference.telemetry import Telemetry
from blaxel_mcp.server.http.address import MCP_PATH, Address, listen, require_safe, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import CallerAuth, caller_auth_for
from blaxel_mcp.server.http.metrics import metrics_served, telemetry_for
from blaxel_mcp.server.http.server import Shutdown, Worker, drain_seconds_of, run_workers, serve_http
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.sharing import Sharing
from blaxel_mcp.server.telemetry import start_telemetry
from blaxel_mcp.settings.loading import Configuration, process_environment

_START, _SAFE_PATH, _UNSAFE_BEFORE = "WORKER_OF_BLAXEL_MCP", "PYTHONSAFEPATH", "UNSAFE_PATH_OF_BLAXEL_MCP"
"""Variables that worker processes are started with."""


async def serve_over_http(options: argparse.Namespace) -> int:
    """Serve until a signal arrives, and return the exit code.

    Once connections are accepted, stderr has the lines `serving MCP at URL`, with the actual port, and `callers: ...`.
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
                return _run_workers(options, config, address, listener, announce)
            telemetry = telemetry_for(config.settings.http, process_environment())
            async with metrics_served(config.settings.http, telemetry):
                app = _app(config, address, caller_auth, telemetry)
                shutdown = Shutdown()
                async with anyio.create_task_group() as group:
                    group.start_soon(shutdown.watch_signals)
                    seconds = drain_seconds_of(config.settings)
                    await serve_http(app, listener, shutdown, started=announce, drain_seconds=seconds)
                    group.cancel_scope.cancel()
                return shutdown.exit_code


def _app(config: Configuration, address: Address, caller_auth: CallerAuth, telemetry: Telemetry | None) -> HttpApp:
    sharing = Sharing(config.settings.shared)
    server = build_server(config, environment=Environment(telemetry=telemetry), over_http=True, sharing=sharing)
    return HttpApp(server, config, address, caller_auth, sharing=sharing)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    return {"http": {"host": options.host, "port": options.port}}


def _run_workers(
    options: argparse.Namespace, config: Configuration, address: Address, listener: socket, started: Callable[[], None]
) -> int:
    """Run several processes until a signal ends them. It blocks the event loop, which has nothing else to do."""
    if config.settings.http.metrics_address:
        raise ConfigurationError(
            "http.metrics_address is set, and each of several workers would have metrics of its own.",
            hint="Remove it, or --workers; workers can export their metrics by OTLP.",
        )
    if config.settings.shared.url is None:
        raise ConfigurationError(
            "--workers needs [shared]: without it, each process has its own limits and answers.",
            hint="Set shared.url and shared.key, or omit --workers.",
        )
    if sys.platform == "win32":
        raise ConfigurationError("--workers is not available on Windows.", hint="Start several servers instead.")
    started()
    names = ("config", "workspace", "host", "port", "demo", "log_level", "log_format")
    drain_seconds = drain_seconds_of(config.settings)
    start = {
        "options": {name: getattr(options, name) for name in names},
        "address": asdict(address),
        "drain_seconds": drain_seconds,
        "supervisor": os.getpid(),
    }
    os.putenv(_START, json.dumps(start, default=str))
    if not sys.flags.safe_path:
        # `multiprocessing` starts `python -c`, which searches the working directory first.
        os.putenv(_SAFE_PATH, "1")
    os.putenv(_UNSAFE_BEFORE, "" if sys.flags.safe_path else "1")
    run_workers(f"{__name__}:worker", listener.fileno(), options.workers, drain_seconds)
    return ExitCode.OK


def worker() -> Worker:
    """Return the application of a worker process, which finds its options in the environment."""
    environment = process_environment()
    if environment[_UNSAFE_BEFORE]:
        # For the commands that a worker runs.
        os.unsetenv(_SAFE_PATH)
    start = json.loads(environment[_START])
    options = argparse.Namespace(**start["options"])
    address = Address(**{**start["address"], "family": AddressFamily(start["address"]["family"])})
    configure_logging(options.log_level, options.log_format)

    @asynccontextmanager
    async def open_app() -> AsyncIterator[HttpApp]:
        async with configured(options, **_overrides(options)) as config:
            telemetry = start_telemetry(process_environment())
            yield _app(config, address, caller_auth_for(config, address), telemetry)

    return Worker(open_app, print_error, start["drain_seconds"], start["supervisor"])
