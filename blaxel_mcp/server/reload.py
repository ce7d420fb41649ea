"""The settings file, watched: a good edit is taken, a bad one is told and changes nothing."""

import logging
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.toml_file import file_signature

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the file is looked at. An edit is taken once it stands still for as long: editors write in pieces."""

Take = Callable[[Configuration], Awaitable[None]]
Tell = Callable[[str | None], None]


async def watch_settings(config: Configuration, take: Take, tell: Tell, *, seconds: float = LOOK_SECONDS) -> None:
    """Watch the settings file for as long as this runs; returns at once where there is none to watch.

    Args:
        config: The settings in force.
        take: Puts other settings in force; raises ConfigurationError where they cannot be.
        tell: Is told what is wrong with the file, and None once it is mended.
        seconds: How often to look.
    """
    if config.watched is None:
        return
    # As it was before it was read: an edit between that and now is not missed.
    known = config.signature
    while True:
        await anyio.sleep(seconds)
        found = await anyio.to_thread.run_sync(file_signature, config.watched)
        if found == known:
            continue
        await anyio.sleep(seconds)
        if await anyio.to_thread.run_sync(file_signature, config.watched) == found:
            known = found
            config = await _taken(config, take, tell)


async def _taken(config: Configuration, take: Take, tell: Tell) -> Configuration:
    """The settings in force after an edit."""
    try:
        edited = await anyio.to_thread.run_sync(config.read_again)
        await take(edited)
    except ConfigurationError as error:
        tell(f"The settings file was changed and cannot be used; the settings from before are in force. {error}")
        logger.warning("the settings from before stay in force: %s", error)
        return config
    except Exception:
        logger.exception("the changed settings could not be taken; those from before stay in force")
        return config
    for warning in edited.warnings:
        logger.warning(warning)
    for key in _kept(config, edited):
        logger.warning("%s was changed in the settings file: that takes effect when the server is started again", key)
    logger.info("the settings file was changed, and is in force")
    return edited


def _kept(before: Configuration, after: Configuration) -> list[str]:
    """The settings that a running server cannot change."""
    old, new = before.settings, after.settings
    return [
        *(["[http]"] if old.http != new.http else []),
        *(["limits.max_argument_bytes"] if old.limits.max_argument_bytes != new.limits.max_argument_bytes else []),
    ]
