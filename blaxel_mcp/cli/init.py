"""`blaxel-mcp init`: a first settings file with the models of the workspace."""

import argparse
import os
import shlex
import sys
from collections import Counter
from pathlib import Path

from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.cli.console import waiting
from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import configured
from blaxel_mcp.client.auth.credentials import resolve_credentials
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.settings.loading import Configuration, named_settings_file
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.settings_file import FirstSettings, first_settings

_EMPTY = "Every setting in it is commented out. Without [[models]], each model in the workspace gets a tool."


async def init(options: argparse.Namespace) -> int:
    """Write the file and print a summary of it; the exit code is 1 if the workspace cannot be read."""
    file = _settings_file(options)
    location = "" if file == default_settings_path().resolve() else f" --config {shlex.quote(str(file))}"
    # The settings file is not read: it may be the one to replace, and it may be wrong.
    without_file = argparse.Namespace(**{**vars(options), "config": os.devnull})
    async with configured(without_file) as config:
        try:
            with waiting("asking Blaxel for the models"):
                records = [] if options.empty else await _model_records(config)
                settings = first_settings(config.settings.workspace, records, empty=options.empty)
        except BlaxelError as error:
            print_error(error)
            empty = f"`blaxel-mcp init{location} --empty`"
            print(f"Nothing was written; {empty} writes a file without asking Blaxel.", file=sys.stderr)
            return ExitCode.FAILED
    summary = _EMPTY if options.empty else _summary(settings, config)
    if options.print:
        print(settings.text, end="")
        print(summary, file=sys.stderr)
        return ExitCode.OK
    backup = _write(file, settings.text.encode(), force=options.force)
    print(f"Written: {file}" + (f"\nBackup of the previous file: {backup}" if backup else ""))
    print(summary)
    print(
        f"Next: `blaxel-mcp doctor{location}` checks the settings, "
        f"`blaxel-mcp install{location} CLIENT` adds the server to a client."
    )
    return ExitCode.OK


def _settings_file(options: argparse.Namespace) -> Path:
    """Return the file to write, which is the one that a server would read."""
    try:
        # Links are followed: replacing the link itself would leave the file behind it as it was.
        file = (named_settings_file(options.config) or default_settings_path()).resolve()
        exists, is_file = file.exists(), file.is_file()
    except (RuntimeError, OSError) as error:
        raise ConfigurationError(f"The path of the settings file cannot be used: {str(error).rstrip('.')}.") from None
    if options.print or not exists:
        return file
    if not is_file:
        raise ConfigurationError(f"{file} is not a regular file.", hint="Name another one with --config.")
    if not options.force:
        raise _exists_already(file)
    return file


def _exists_already(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"There is a settings file already: {file}. Nothing was written.",
        hint="--force replaces it and keeps a backup; --print shows what would be written.",
    )


async def _model_records(config: Configuration) -> list[ModelRecord]:
    """Ask Blaxel for the models, with the credentials of the environment or of `bl login`."""
    workspace = config.settings.workspace
    if workspace is None:
        raise ConfigurationError(
            "No Blaxel workspace is set.", hint="Set BL_WORKSPACE or run `bl login WORKSPACE`, then run this again."
        )
    async with APIClient(config) as client:
        control_plane = ControlPlane(client, config.settings)
        if not control_plane.enabled:
            raise ConfigurationError("discovery.enabled is false, so Blaxel was not asked for the models.")
        return await control_plane.list_models(workspace)


def _write(file: Path, content: bytes, *, force: bool) -> Path | None:
    """Write the file for this user only, whole or not at all, and return the backup of the previous one, if any."""
    try:
        make_folder(file.parent)
        backup = back_up(file, file.read_bytes()) if force and file.exists() else None
        replace_file(file, content, overwrite=force)
        return backup
    except FileExistsError:
        raise _exists_already(file) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written ({error.strerror or type(error).__name__}).",
            hint="Name another file with --config.",
        ) from error


def _summary(settings: FirstSettings, config: Configuration) -> str:
    have = "1 model has a tool" if len(settings.listed) == 1 else f"{len(settings.listed)} models have a tool"
    reasons = Counter(settings.left_out.values())
    left_out = "; ".join(f"{number} commented out: {reason}" for reason, number in reasons.items())
    credentials = resolve_credentials(config, None)
    later = "no tool; `enabled = true` under [discovery] in the file changes that" if settings.listed else "a tool each"
    return (
        f"Workspace {config.settings.workspace}: {have}{f' ({left_out})' if left_out else ''}.\n"
        f"Models created later get {later}.\n"
        f"Credentials: {credentials.source if credentials else 'none'}. They are not in the file."
    )
