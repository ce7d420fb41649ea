"""The settings of a command: what its options select, with an emulator in Blaxel's place for `--demo`."""

import argparse
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from blaxel_mcp.cli.demo_settings import demo_overrides
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration, load_settings

logger = logging.getLogger(__name__)


@asynccontextmanager
async def configured(options: argparse.Namespace, **overrides: Any) -> AsyncIterator[Configuration]:
    """Provide the settings of `load`. With `--demo`, they lead to an emulator that runs while the context lasts."""
    demo: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        if options.demo:
            # Imported here: a server that calls Blaxel does not need the emulator's web framework.
            from blaxel_mcp.emulator import run_emulator  # noqa: PLC0415

            emulator = await stack.enter_async_context(run_emulator())
            demo = demo_overrides(run_url=emulator.run_url, api_url=emulator.api_url)
        yield load(options, demo, **overrides)


def load(options: argparse.Namespace, demo: Mapping[str, Any] | None = None, **overrides: Any) -> Configuration:
    """Load the settings in force and log the warnings about them; `overrides` are those that the command decides."""
    if options.workspace is not None:
        if not options.workspace.strip():
            raise ConfigurationError("--workspace is blank.", hint="Name a workspace, or remove the option.")
        overrides["workspace"] = options.workspace
    config = load_settings(overrides=overrides, demo=demo, config_file=options.config)
    for warning in config.warnings:
        logger.warning(warning)
    return config


def serve_arguments(options: argparse.Namespace, config_file: Path | str | None) -> tuple[str, ...]:
    """Return the arguments of `blaxel-mcp` that start a server with the settings of this command.

    Without a `config_file`, the server reads the one that it finds itself.
    """
    config = ("--config", str(config_file)) if config_file is not None else ()
    workspace = ("--workspace", options.workspace) if options.workspace else ()
    return ("serve", *config, *workspace, *(("--demo",) if options.demo else ()))
