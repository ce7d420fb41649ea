"""`blaxel-mcp init`: a first settings file, with the models that the workspace has."""

import argparse
import os
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.cli.options import configured
from blaxel_mcp.client.auth.credentials import missing_credentials, resolve_credentials
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file
from blaxel_mcp.settings.environment import FILE_VARIABLE
from blaxel_mcp.settings.loading import Configuration, process_environment
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.settings_file import FirstSettings, first_settings, left_out_sentence


@dataclass(frozen=True, slots=True)
class _Found:
    """The settings to write, and where their credentials came from; `missing` says what stood in the way."""

    settings: FirstSettings
    workspace: str | None
    source: str | None
    missing: str


def init(options: argparse.Namespace) -> int:
    """Write the file and say what is in it; without credentials or a network it is written all the same.

    Raises:
        ConfigurationError: There is a file already, or it cannot be written, or the settings of the environment
            cannot be used.
    """
    path = _path(options)
    if not options.print:
        _refuse_what_is_there(path, force=options.force)
    found = anyio.run(partial(_look, options))
    if options.print:
        print(found.settings.text, end="")
        _tell(found, to_stderr=True)
        return 0
    backup = _write(path, found.settings.text.encode(), force=options.force)
    print(f"Written: {path}" + (f"\nThe file that was there is kept as {backup}" if backup else ""))
    _tell(found, to_stderr=False)
    print(_next_steps(path, found))
    return 0


def _path(options: argparse.Namespace) -> Path:
    """The file that a server would read: the one that is named, else the usual one."""
    variable = process_environment().get(FILE_VARIABLE, "")
    named = options.config or (None if is_unset(variable) else variable.strip())
    try:
        # Through a link, or the link would be lost to a file.
        return Path(named or default_settings_path()).expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise ConfigurationError(f"{named} cannot be the settings file: {error}.") from None


def _refuse_what_is_there(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder.", hint="Name a file with --config.")
    if path.exists() and not force:
        raise _there_already(path)


def _there_already(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"There is a settings file already: {path}. Nothing was written.",
        hint="--force replaces it and keeps the old one beside it; --print shows what would be written.",
    )


async def _look(options: argparse.Namespace) -> _Found:
    """Ask the control plane what there is, with the credentials of the environment and of `bl login`."""
    # Not with the settings file: it may be the very one that is to be replaced, and wrong.
    without_file = argparse.Namespace(**{**vars(options), "config": os.devnull})
    async with configured(without_file) as config:
        workspace = config.settings.workspace
        resolved = resolve_credentials(config, None)
        source = resolved.source if resolved else None
        try:
            settings, missing = first_settings(workspace, await _records(config)), ""
        except BlaxelError as error:
            missing = str(error)
            settings = first_settings(workspace, missing=missing)
        return _Found(settings, workspace, source, missing)


async def _records(config: Configuration) -> list[ModelRecord]:
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
            raise ConfigurationError("discovery.enabled is false, so the control plane was not asked.")
        return await control_plane.list_models(workspace)


def _write(path: Path, data: bytes, *, force: bool) -> Path | None:
    """Write the file, whole or not at all, for this user alone.

    Returns:
        Where the file is kept that was there; None where there was none.
    """
    try:
        make_folder(path.parent)
        backup = back_up(path, path.read_bytes()) if force and path.exists() else None
        replace_file(path, data, overwrite=force)
        return backup
    except FileExistsError:
        raise _there_already(path) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror or type(error).__name__}).", hint="Name another with --config."
        ) from error


def _tell(found: _Found, *, to_stderr: bool) -> None:
    stream = sys.stderr if to_stderr else sys.stdout
    if found.missing:
        print(f"note: The models are not in it, and everything in it is commented out. {found.missing}", file=stream)
        return
    settings = found.settings
    left_out = f" ({left_out_sentence(settings.left_out)})" if settings.left_out else ""
    print(f"Workspace {found.workspace}: {len(settings.listed)} models have a tool{left_out}.", file=stream)
    print(f"Credentials: {found.source}. They are not in the file.", file=stream)


def _next_steps(path: Path, found: _Found) -> str:
    config = "" if path == default_settings_path().resolve() else f" --config {shlex.quote(str(path))}"
    if found.missing:
        return f"Once that is mended, `blaxel-mcp init{config} --force` writes it with the models."
    return (
        f"Next: `blaxel-mcp doctor{config}` checks it, `blaxel-mcp install{config} CLIENT` adds the server to a client."
    )
