"""`blaxel-mcp demo`: a tour of the server on this machine, without an account.

An emulator of Blaxel listens on loopback, this server runs as the subprocess that an MCP client would start, and the
MCP SDK's own client calls it. Every request and response is printed.
"""

import argparse
import sys
import tempfile

import anyio
from mcp import Client, StdioServerParameters

from blaxel_mcp.cli.console import ReportConsole
from blaxel_mcp.cli.demo_settings import DEMO_KEY, demo_settings_text
from blaxel_mcp.cli.demo_tour import Tour
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.emulator import run_emulator

_TOUR_SECONDS = 60


async def demo(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes the options
    """Run the tour.

    Raises:
        RuntimeError: A call did not give what the tour says about it.
        TimeoutError: The tour took longer than a minute.
    """
    with tempfile.TemporaryDirectory(prefix="blaxel-mcp-demo-") as folder, anyio.fail_after(_TOUR_SECONDS):
        async with run_emulator() as emulator:
            settings = demo_settings_text(run_url=emulator.run_url, api_url=emulator.api_url)
            file = anyio.Path(folder, "config.toml")
            await file.write_text(settings, encoding="utf-8")
            tour = Tour(ReportConsole(), emulator)
            tour.introduce(settings)
            server = StdioServerParameters(
                command=sys.executable,
                args=["-m", "blaxel_mcp", "serve", "--config", str(file)],
                env={"BL_API_KEY": DEMO_KEY, "BLAXEL_MCP_BUDGET__LEDGER": ":memory:"},
            )
            async with Client(server) as client:
                await tour.show_tools(client)
                await tour.call_configured_models(client)
                await tour.call_other_models(client)
                await tour.show_picture_and_failure(client)
        tour.show_own_entry()
    return ExitCode.OK
