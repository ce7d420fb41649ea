"""`blaxel-mcp init`: a first settings file with the models of the workspace."""

import argparse
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.cli.settings import configured, named_config_file
from blaxel_mcp.client.auth.credentials import missing_credentials, resolve_credentials
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.settings_file import FirstSettings, first_settings, left_out_sentence


@dataclass(frozen=True, slots=True)
class _Draft:
    """The settings file to write.

    Attributes:
        settings: Its text and its models.
        workspace: The workspace; None if none is set.
        source: Where the credentials came from; None if there are none.
        problem: Why Blaxel could not be asked for the models; empty if it was.
    """

    settings: FirstSettings
    workspace: str | None
    source: str | None
    problem: str


async def init(options: argparse.Namespace) -> int:
    """Write the file and print what is in it. Without credentials or a network, all of it is commented out.

    Raises:
        ConfigurationError: The file exists already or cannot be written, or the settings in the environment cannot
            be used.
    """
    file = _settings_file(options)
    draft = await _draft(options)
    if options.print:
        print(draft.settings.text, end="")
        _print_summary(draft, sys.stderr)
        return ExitCode.OK
    backup = _write(file, draft.settings.text.encode(), force=options.force)
    print(f"Written: {file}" + (f"\nBackup of the previous file: {backup}" if backup else ""))
    _print_summary(draft, sys.stdout)
    config = "" if file == default_settings_path().resolve() else f" --config {shlex.quote(str(file))}"
    if draft.problem:
        print(f"Next: fix this, then `blaxel-mcp init{config} --force` writes the file with the models.")
    else:
        print(
            f"Next: `blaxel-mcp doctor{config}` checks the settings, "
            f"`blaxel-mcp install{config} CLIENT` adds the server to a client."
        )
    return ExitCode.OK


def _settings_file(options: argparse.Namespace) -> Path:
    """Return the file to write, which is the one that a server would read.

    Raises:
        ConfigurationError: It cannot be a file, or it exists already and may not be replaced.
    """
    try:
        # Links are followed: replacing the link itself would leave the file behind it as it was.
        file = (named_config_file(options) or default_settings_path()).resolve()
    except (RuntimeError, OSError) as error:
        raise ConfigurationError(f"The path of the settings file cannot be used: {error}.") from None
    if file.is_dir() and not options.print:
        raise ConfigurationError(f"{file} is a folder.", hint="Name a file with --config.")
    if file.exists() and not (options.print or options.force):
        raise _exists_already(file)
    return file


def _exists_already(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"There is a settings file already: {file}. Nothing was written.",
        hint="--force replaces it and keeps a backup; --print shows what would be written.",
    )


async def _draft(options: argparse.Namespace) -> _Draft:
    """Ask Blaxel for the models, with the credentials of the environment or of `bl login`."""
    # The settings file is not read: it may be the one to replace, and it may be wrong.
    without_file = argparse.Namespace(**{**vars(options), "config": os.devnull})
    async with configured(without_file) as config:
        workspace = config.settings.workspace
        credentials = resolve_credentials(config, None)
        try:
            settings, problem = first_settings(workspace, await _model_records(config)), ""
        except BlaxelError as error:
            problem = str(error)
            settings = first_settings(workspace, missing=problem)
        return _Draft(settings, workspace, credentials.source if credentials else None, problem)


async def _model_records(config: Configuration) -> list[ModelRecord]:
    workspace = config.settings.workspace
    if workspace is None:
        raise ConfigurationError(
            "No Blaxel workspace is set.", hint="Set BL_WORKSPACE or run `bl login WORKSPACE`, then run this again."
        )
    if resolve_credentials(config, workspace) is None:
        raise missing_credentials(config, workspace)
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


def _print_summary(draft: _Draft, stream: TextIO) -> None:
    if draft.problem:
        print(f"note: The file has no models, and every setting in it is commented out. {draft.problem}", file=stream)
        return
    settings = draft.settings
    have = "1 model has a tool" if len(settings.listed) == 1 else f"{len(settings.listed)} models have a tool"
    left_out = f" ({left_out_sentence(settings.left_out)})" if settings.left_out else ""
    print(f"Workspace {draft.workspace}: {have}{left_out}.", file=stream)
    print(f"Credentials: {draft.source}. They are not in the file.", file=stream)
