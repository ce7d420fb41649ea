"""The stdio transport: one client on stdin and stdout, and a fast exit for any reason."""

import logging
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import NotificationOptions, Server

from blaxel_mcp.budget.open_ledgers import OPEN_LEDGERS
from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals
from blaxel_mcp.server.stdio.parent import wait_until_orphaned
from blaxel_mcp.server.stdio.standard_streams import StdioStreams
from blaxel_mcp.server.stdio.streams import FrameSink, FrameSource

logger = logging.getLogger(__name__)


async def serve_stdio(
    server: Server[Any], streams: StdioStreams, *, tools_change: bool, max_frame_bytes: int
) -> NoReturn:
    """Serve one client over the standard streams, and exit the process.

    End of input, SIGTERM, SIGHUP and the death of the parent process end it with exit code 0, SIGINT with 130, each
    within two seconds. In-flight calls are aborted upstream, and complete answers are written.
    """
    options = server.create_initialization_options(NotificationOptions(tools_changed=tools_change))
    # Entries still to be written if the cleanup does not end in time.
    streams.before_exit = OPEN_LEDGERS.flush
    sink = FrameSink(streams)
    source = FrameSource(streams, sink, limit=max_frame_bytes)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(sink.write_slowly)
            async with anyio.create_task_group() as serving:
                group.start_soon(_end_on_signal, serving.cancel_scope, streams)
                serving.start_soon(_end_with_parent, serving.cancel_scope, streams)
                await server.run(source, sink, options)
                serving.cancel_scope.cancel()
            # Write the frames that are complete; there will be no others.
            streams.start_shutdown_timer()
            await sink.flush()
            # Inside the block: its end would wait for the thread that may be waiting for a line.
            streams.exit()
    except* OSError as errors:
        logger.info("the client closed the connection: %s", errors.exceptions[0])
    except* Exception:
        logger.exception("the server failed")
        streams.exit_code = ExitCode.FAILED
    streams.exit()


async def _end_with_parent(scope: anyio.CancelScope, streams: StdioStreams) -> None:
    await wait_until_orphaned(streams.parent)
    logger.info("the parent process has died")
    streams.start_shutdown_timer()
    scope.cancel()


async def _end_on_signal(scope: anyio.CancelScope, streams: StdioStreams) -> None:
    """End at the first ending signal. Later ones change nothing: the process is about to exit."""
    with received_signals() as signals:
        async for received in signals:
            if not scope.cancel_called:
                streams.exit_code = exit_code_after(received)
                streams.start_shutdown_timer()
                scope.cancel()
