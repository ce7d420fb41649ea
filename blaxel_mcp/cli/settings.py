"""The settings of a command: what its options select, with an emulator in Blaxel's place for `--demo`."""

import argparse
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration, load_settings

logger = logging.getLogger(__name__)

DEMO_WORKSPACE = "demo"
DEMO_KEY = "demo-key"

DEMO_MODELS: tuple[dict[str, Any], ...] = (
    {
        "name": "house-chat",
        "api": "chat-completions",
        "description": "Short questions, arithmetic, a second opinion.",
        "price": {"input": 0.15, "output": 0.60},
    },
    {"name": "house-embed", "api": "embeddings", "description": "Embeds texts, to compare their meaning."},
    {"name": "house-classifier", "api": "raw", "description": "Classifies the sentiment of a text, given as `inputs`."},
    {
        "name": "edge-chat",
        "api": "chat-completions",
        "title": "Edge chat (mk3)",
        "description": "A chat model of generation mk3, served at its own URL.",
    },
)
"""The models of the tour of `demo`, as `[[models]]` entries."""

_OTHERS: tuple[dict[str, Any], ...] = (
    {"name": "house-claude", "api": "messages"},
    {"name": "house-gemini", "path": "/v1beta/models/gemini-2.5-flash:generateContent"},
    {"name": "house-cohere", "api": "cohere-chat"},
    {"name": "house-rerank", "api": "rerank"},
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
    {"name": "house-ears", "api": "transcriptions"},
    {"name": "sandbox-openai", "api": "chat-completions"},
)
"""The other models of the emulator's workspace."""


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


def demo_overrides(*, run_url: str, api_url: str) -> dict[str, Any]:
    """Return the settings that `--demo` stands for, which lead every call to the base URLs of an emulator."""
    return {
        "workspace": DEMO_WORKSPACE,
        "api_key": DEMO_KEY,
        # A demo must not use the user's own workspaces or their keys.
        "workspaces": {},
        "discovery": {"workspaces": []},
        "run_url": run_url,
        "api_url": api_url,
        "budget": {"ledger": ":memory:"},
        "models": [*DEMO_MODELS, *_OTHERS],
    }


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
