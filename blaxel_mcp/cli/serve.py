"""`blaxel-mcp serve`: the MCP server, on stdio or over HTTP."""

import argparse
import logging
import sys

from blaxel_mcp.cli.settings import configured
from blaxel_mcp.client.auth.credentials import resolve_credentials
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.stdio.transport import serve_stdio
from blaxel_mcp.server.telemetry import start_telemetry_or_warn
from blaxel_mcp.settings.loading import process_environment

logger = logging.getLogger(__name__)

_FOR_PEOPLE = """\
This is an MCP server: it waits for messages of an MCP client on standard input.
Ctrl-D ends it. You probably want one of these instead:
  blaxel-mcp install CLIENT    add the server to an MCP client
  blaxel-mcp run MODEL "text"  ask a model
  blaxel-mcp demo              take a tour without an account
  blaxel-mcp --help            list the commands"""


async def serve(options: argparse.Namespace) -> int:
    """Serve over `options.streams` until the client closes them, or over HTTP until a signal arrives.

    Missing credentials are no error: clients and registries list the tools of a server that has none yet.
    """
    if options.transport == "http":
        # Imported here: MCP clients wait for the start on stdio, which needs no web framework.
        from blaxel_mcp.cli.serve_http import serve_over_http  # noqa: PLC0415

        return await serve_over_http(options)
    if options.streams.stdin_is_terminal:
        # Some clients connect a terminal, so the server starts all the same.
        print(_FOR_PEOPLE, file=sys.stderr, flush=True)
    async with configured(options) as config:
        credentials = resolve_credentials(config, config.settings.workspace)
        logger.info(
            "serving workspace %s with credentials from %s; configured models: %d",
            config.settings.workspace or "(none)",
            credentials.source if credentials else "(none)",
            len(config.settings.models),
        )
        return await serve_stdio(
            build_server(config, environment=Environment(telemetry=start_telemetry_or_warn(process_environment()))),
            options.streams,
            # Even a fixed list of tools changes when the settings file is edited.
            tools_change=True,
            max_frame_bytes=config.settings.limits.max_argument_bytes,
        )
