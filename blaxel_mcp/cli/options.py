"""What the commands have in common: where settings come from, and the emulator in place of the platform."""

import argparse
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blaxel_mcp.cli.demo_settings import demo_overrides
from blaxel_mcp.settings.loading import Configuration, load_settings

logger = logging.getLogger(__name__)


@asynccontextmanager
async def configured(options: argparse.Namespace, **overrides: Any) -> AsyncIterator[Configuration]:
    """The configuration that the command line asks for; with `--demo`, an emulator runs as long as it is used.

    Args:
        options: The parsed command line.
        overrides: Settings that the command itself decides.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    file = Path(options.config) if options.config else None
    if options.workspace:
        overrides["workspace"] = options.workspace
    async with _platform(options) as demo:
        config = load_settings(overrides={**demo, **overrides}, config_file=file)
        for warning in config.warnings:
            logger.warning(warning)
        yield config


@asynccontextmanager
async def _platform(options: argparse.Namespace) -> AsyncIterator[dict[str, Any]]:
    """The settings that lead to the platform: none for Blaxel's own."""
    if not options.demo:
        yield {}
        return
    # Only here: a server that talks to Blaxel has no use for the emulator's web framework.
    from blaxel_mcp.emulator import run_emulator  # noqa: PLC0415

    async with run_emulator() as emulator:
        yield demo_overrides(run_url=emulator.run_url, api_url=emulator.api_url)
