"""Hot reload of the settings file: a valid edit is applied, an invalid one is reported and changes nothing.

A file that is gone, empty or unreadable is an invalid edit: the rules that it set stay in force.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.toml_file import file_signature

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Interval between two checks of the file. An edit is read when the file has not changed for as long: editors may write
it in pieces."""

ApplySettings = Callable[[Configuration], Awaitable[None]]
ReportProblem = Callable[[str | None], None]
_Signatures = tuple[tuple[int, ...] | None, tuple[int, ...] | None]
"""Those of the settings file and of the login file; None for one that is missing or not watched."""


async def watch_settings(
    config: Configuration, apply: ApplySettings, report: ReportProblem, *, seconds: float = LOOK_SECONDS
) -> None:
    """Watch the settings file until cancelled; return at once if the settings do not come from a file.

    Without a workspace, the login file is watched too: `bl login` may select one.

    `apply` raises ConfigurationError if the new settings are invalid together. `report` receives the problem with an
    edited file, and None when it is fixed.
    """
    if config.watched is None:
        return
    # From before the files were read, so that an edit in between is not missed.
    signatures: _Signatures = config.signature and (*config.signature, True), None
    while True:
        await anyio.sleep(seconds)
        edited = await anyio.to_thread.run_sync(_signatures, config)
        if edited == signatures:
            continue
        await anyio.sleep(seconds)
        if await anyio.to_thread.run_sync(_signatures, config) == edited:
            config = await _reload(config, apply, report)
            signatures = edited[0], edited[1] if config.settings.workspace is None else None


def _signatures(config: Configuration) -> _Signatures:
    """Return values that change with the settings file, or whether it can be read, and with the login file."""
    path = config.watched or Path()
    signature = file_signature(path)
    return (
        signature and (*signature, os.access(path.expanduser(), os.R_OK)),
        file_signature(config.login.path) if config.settings.workspace is None else None,
    )


async def _reload(config: Configuration, apply: ApplySettings, report: ReportProblem) -> Configuration:
    """Apply the edited file if it is valid; return the settings that apply from now on."""
    try:
        edited = await anyio.to_thread.run_sync(config.read_again)
        await apply(edited)
    except ConfigurationError as error:
        report(f"The edited settings file cannot be used, so the previous settings still apply. {error}")
        logger.warning("the edited settings file is ignored, the previous settings still apply: %s", error)
        return config
    except Exception:
        report("The edited settings file cannot be used, so the previous settings still apply. The log says why.")
        logger.exception("could not apply the edited settings file; the previous settings still apply")
        return config
    for warning in edited.warnings:
        logger.warning(warning)
    before, after = config.settings, edited.settings
    for name, is_changed in (
        ("[http]", before.http != after.http),
        ("limits.max_argument_bytes", before.limits.max_argument_bytes != after.limits.max_argument_bytes),
    ):
        if is_changed:
            logger.warning("%s changed in the settings file; restart the server to apply it", name)
    logger.info("reloaded the settings file")
    return edited
