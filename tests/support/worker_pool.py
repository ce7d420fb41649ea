"""Two HTTP workers whose in-flight requests have an hour to finish, so that no test depends on the real time.

Run it as a script; like `blaxel-mcp serve --transport http --workers 2`, it prints its URL on stderr.
"""

import os
import sys
from contextlib import closing
from functools import partial
from socket import socket

import anyio

from blaxel_mcp.core.logs import configure_logging
from blaxel_mcp.server.http.address import MCP_PATH, Address, listen, resolve
from blaxel_mcp.server.http.app import HttpApp
from blaxel_mcp.server.http.auth.caller_auth import NoAuth
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.server.http.workers import Supervisor, Workers
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.schema import HttpSettings

DRAIN_SECONDS = 3600.0


def main() -> int:
    """Run the workers until a signal ends them; return the exit code."""
    configure_logging("info", "text")
    listener, address = listen(resolve(HttpSettings(port=0)))
    with closing(listener):
        sys.stderr.write(f"serving MCP at {address.url}{MCP_PATH}\n")
        workers = Workers(partial(work, address), listener, 2, drain_seconds=DRAIN_SECONDS)
        return anyio.run(workers.run)


def work(address: Address, listener: socket, supervisor: Supervisor) -> int:
    """Serve as one of the workers."""
    configure_logging("info", "text")
    return anyio.run(serve, address, listener, supervisor)


async def serve(address: Address, listener: socket, supervisor: Supervisor) -> int:
    """Serve until the supervisor ends this worker; return the exit code."""
    config = load_settings(environ=os.environ)
    server = build_server(config, over_http=True)
    app = HttpApp(server, config, address, NoAuth(), cancel_elsewhere=supervisor.cancel_elsewhere)
    shutdown = Shutdown()
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.follow, shutdown, app.cancellations.cancel)
        started = supervisor.report_serving
        await serve_http(app, listener, shutdown, started=started, drain_seconds=DRAIN_SECONDS)
        group.cancel_scope.cancel()
    return shutdown.exit_code


if __name__ == "__main__":
    sys.exit(main())
