"""`blaxel-mcp demo`: the real thing on this machine, told as a tour.

An emulator of the platform listens on loopback, this server runs as the subprocess that an MCP
client would start, and the SDK's own client calls it. What is printed is what went over.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from rich.console import Console

from blaxel_mcp.cli.demo_settings import DEMO_KEY, DEMO_MODELS, DEMO_WORKSPACE
from blaxel_mcp.cli.demo_tour import Tour
from blaxel_mcp.emulator import Emulator, run_emulator

_TOUR_SECONDS = 60


def demo(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes the options
    """Run the tour; 0 when every call came to what the tour says of it."""
    return anyio.run(_demo)


async def _demo() -> int:
    with tempfile.TemporaryDirectory(prefix="blaxel-mcp-demo-") as folder, anyio.fail_after(_TOUR_SECONDS):
        async with run_emulator() as emulator:
            settings = _settings_text(emulator)
            tour = Tour(Console(highlight=False, soft_wrap=True), emulator)
            tour.introduce(settings)
            async with Client(_server(_written(settings, folder))) as client:
                await tour.visit(client)
    return 0


def _written(settings: str, folder: str) -> Path:
    file = Path(folder, "config.toml")
    file.write_text(settings, encoding="utf-8")
    return file


def _server(settings: Path) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "blaxel_mcp", "serve", "--config", str(settings)],
        env={"BL_API_KEY": DEMO_KEY, "BLAXEL_MCP_BUDGET__LEDGER": ":memory:"},
    )


def _settings_text(emulator: Emulator) -> str:
    tables = [f'workspace = "{DEMO_WORKSPACE}"\nrun_url = "{emulator.run_url}"\napi_url = "{emulator.api_url}"\n']
    for model in DEMO_MODELS:
        lines = (f"{name} = {_toml_value(value)}" for name, value in model.items())
        tables.append("\n".join(("[[models]]", *lines)) + "\n")
    return "\n".join(tables)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml_value(inner)}" for name, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
