"""The stdio transport: one client on stdin and stdout, and an end that is quick however it comes."""

import logging
import signal
import sys
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server

from blaxel_mcp.wire import Wire

logger = logging.getLogger(__name__)

FAILED, INTERRUPTED = 1, 130
"""Exit codes: after a failure of the server itself; after SIGINT, as shells expect."""

_HAS_SIGNALS = sys.platform != "win32"


async def serve_stdio(server: Server[Any], wire: Wire, *, tools_change: bool) -> NoReturn:
    """Serve one client over the wire; the process ends with it.

    End of input and SIGTERM end it with exit code 0, SIGINT with 130, each within two seconds and
    with the calls in flight aborted upstream.

    Args:
        server: Answers the client.
        wire: Leads to it.
        tools_change: Whether the client is told that the list of tools may change.
    """
    try:
        async with stdio_server(stdin=wire.stdin, stdout=wire.stdout) as (reading, writing):
            async with anyio.create_task_group() as group:
                if _HAS_SIGNALS:
                    group.start_soon(_end_on_signal, group.cancel_scope, wire)
                options = server.create_initialization_options(NotificationOptions(tools_changed=tools_change))
                await server.run(reading, writing, options)
                group.cancel_scope.cancel()
            # Not after the block: leaving it waits for the SDK's reader, which waits for a line.
            wire.leave()
    except* OSError as errors:
        logger.info("the client closed its end: %s", errors.exceptions[0])
    except* Exception:
        logger.exception("the server failed")
        wire.exit_code = FAILED
    wire.leave()


async def _end_on_signal(scope: anyio.CancelScope, wire: Wire) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for received in signals:
            wire.exit_code = INTERRUPTED if received == signal.SIGINT else 0
            wire.end_soon()
            scope.cancel()
            return
