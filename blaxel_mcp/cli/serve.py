"""`blaxel-mcp serve`: the MCP server, on stdio unless HTTP is asked for."""

import argparse
import logging
from functools import partial

import anyio

from blaxel_mcp.cli.options import configured
from blaxel_mcp.client.auth.credentials import resolve_credentials
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.stdio.transport import serve_stdio
from blaxel_mcp.settings.loading import Configuration

logger = logging.getLogger(__name__)


def serve(options: argparse.Namespace) -> int:
    """Serve over `options.wire` until the client goes away, and the process ends with it; over HTTP until a signal.

    Raises:
        ConfigurationError: the settings cannot be used. Missing credentials are not a reason: clients and
            registries list the tools of a server that has none yet.
    """
    if getattr(options, "transport", "stdio") == "http":
        # Only here: every client starts the server on stdio, and waits for it.
        from blaxel_mcp.cli.serve_http import serve_over_http  # noqa: PLC0415

        return serve_over_http(options)
    anyio.run(partial(_serve, options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    async with configured(options) as config:
        _announce(config)
        await serve_stdio(
            build_server(config),
            options.wire,
            # Whatever they are now: the settings file may be edited.
            tools_change=True,
            max_frame_bytes=config.settings.limits.max_argument_bytes,
        )


def _announce(config: Configuration) -> None:
    found = resolve_credentials(config, config.settings.workspace)
    logger.info(
        "serving workspace %s with credentials from %s and %d configured models",
        config.settings.workspace or "(none set)",
        found.source if found else "nowhere yet",
        len(config.settings.models),
    )
