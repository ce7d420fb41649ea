"""`blaxel-mcp playground`: a page on this machine to try models by hand."""

import argparse
import sys
import webbrowser
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.cli.settings import configured, serve_arguments
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.http.address import listen, resolve
from blaxel_mcp.server.http.playground import playground_app
from blaxel_mcp.server.http.server import Shutdown, serve_http
from blaxel_mcp.server.telemetry import start_telemetry_or_warn
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import Configuration, named_settings_file, process_environment
from blaxel_mcp.setup.install.change import DEFAULT_NAME


async def playground(options: argparse.Namespace) -> int:
    """Serve the page until a signal arrives, and return the exit code."""
    # A page waits as long as it takes, has a form for each model, and only sends what a person has clicked.
    own: dict[str, Any] = {
        "limits": {"detach_after_seconds": 0},
        "tools": {"layout": "per-model"},
        "budget": {"when_nobody_answers": "send"},
    }
    # Of the emulator, all models are shown instead of those in the demo's settings.
    async with configured(options, **own, **({"models": ()} if options.demo else {})) as config:
        try:
            listener, address = listen(resolve(HttpSettings(host="127.0.0.1", port=options.port)))
        except ConfigurationError as error:
            # Unlike `serve`, it has no --host.
            error.hint = "Choose another port with --port (0 takes any free one)."
            raise
        with closing(listener):
            environ = process_environment()
            environment = Environment(telemetry=start_telemetry_or_warn(environ))
            app, sessions = playground_app(config, address, _about(options, config), environment)

            def new_link() -> str:
                return f"{address.url}/#token={sessions.new_token()}"

            # Without a desktop, a browser of the terminal would take it over.
            has_display = sys.platform in ("win32", "darwin") or any(map(environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
            shutdown, is_listening = Shutdown(), anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(shutdown.watch_signals)
                group.start_soon(_offer_links, is_listening, new_link, has_display and not options.no_open)
                await serve_http(app, listener, shutdown, started=is_listening.set)
                group.cancel_scope.cancel()
            return shutdown.exit_code


def _about(options: argparse.Namespace, config: Configuration) -> dict[str, Any]:
    arguments = serve_arguments(options, named_settings_file(options.config))
    return {
        "workspace": config.settings.workspace,
        "demo": options.demo,
        "prefix": config.settings.tools.prefix,
        "client_entry": {"mcpServers": {DEFAULT_NAME: {"command": "blaxel-mcp", "args": list(arguments)}}},
    }


async def _offer_links(is_listening: anyio.Event, new_link: Callable[[], str], opens: bool) -> None:  # noqa: FBT001 - the only flag
    """Show a link once the server listens, and another one each time that Enter is pressed."""
    await is_listening.wait()
    asks = sys.stdin.isatty() and sys.platform != "win32"
    print("The link works once. " + ("Enter gives another one, Ctrl-C stops." if asks else "Ctrl-C stops."))
    while True:
        link = new_link()
        print(f"Playground: {link}", flush=True)
        if opens:
            await anyio.to_thread.run_sync(webbrowser.open, link, abandon_on_cancel=True)
        if not asks:
            return
        await anyio.wait_readable(sys.stdin)
        if not sys.stdin.readline():
            return
