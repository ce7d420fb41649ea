"""`blaxel-mcp install`: adds the server to an MCP client's own settings, or removes it from them."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from blaxel_mcp.cli.settings import load, serve_arguments
from blaxel_mcp.client.auth.credentials import missing_credentials, resolve_credentials
from blaxel_mcp.client.auth.export import entry_variables
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.settings.environment import BLAXEL_ENVIRONMENT, FILE_VARIABLE, PREFIX
from blaxel_mcp.settings.loading import Configuration, process_environment
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.setup.install import (
    CREDENTIAL_VARIABLES,
    Change,
    Client,
    ClientState,
    Launch,
    UserDirs,
    addition,
    client_named,
    client_states,
    edit_lock,
    is_ephemeral,
    is_open_to_others,
    own_command,
    preview,
    redact_backups,
    removal,
    user_dirs,
)

_WORKSPACE, _KEY = "BL_WORKSPACE", "BL_API_KEY"

_PLATFORM_VARIABLES = (
    BLAXEL_ENVIRONMENT,
    *("BL_API_URL", "BL_RUN_URL", "BL_API_VERSION"),
    *("BLAXEL_MCP_API_URL", "BLAXEL_MCP_RUN_URL", "BLAXEL_MCP_API_VERSION"),
)
"""The variables that select the platform: no secrets, and without them the key would be sent to another one."""

_FILE_VARIABLES = (FILE_VARIABLE, "XDG_CONFIG_HOME")
"""The variables that move the settings file; a client starts the server without them."""


def install(options: argparse.Namespace) -> int:
    """Add the server to a client's settings or remove it; without a client, list the known ones.

    Raises:
        InvalidArgumentsError: The client is unknown, or it does not accept the entry's name.
        ConfigurationError: The settings cannot be used, or the client's file cannot; the file is unchanged.
    """
    environ = process_environment()
    folders = user_dirs(environ)
    if options.client is None:
        for name in ("file", "with_key", "print", "remove"):
            if getattr(options, name):
                raise InvalidArgumentsError(
                    f"--{name.replace('_', '-')} needs the name of a client.",
                    hint="Use `blaxel-mcp install CLIENT ...`; `blaxel-mcp install` lists the clients.",
                )
        _print_clients(client_states(folders))
        return ExitCode.OK
    client = client_named(options.client)
    file = client.file(folders)
    if options.file:
        # Path.expanduser raises if the home directory is unknown.
        file = Path(os.path.expanduser(options.file)).absolute()  # noqa: PTH111 - the line above
    if options.remove:
        _remove(client, file, options, folders)
    else:
        _add(client, file, options, environ, folders)
    return ExitCode.OK


def _print_clients(states: list[ClientState]) -> None:
    rows = []
    for state in states:
        if state.problem:
            status = "cannot be read"
        elif state.entries:
            status = f"installed as {', '.join(entry.name for entry in state.entries)}"
        else:
            status = "not installed" if state.exists else "no file"
        rows.append((state.client.name, status, str(state.file)))
    name_width, status_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, status, file in rows:
        print(f"{name:<{name_width}}  {status:<{status_width}}  {file}")
    for state in states:
        if state.problem:
            print(f"{state.client.name}: {state.problem}")
    print("`blaxel-mcp install CLIENT` adds the server to one of them.")


def _remove(client: Client, file: Path, options: argparse.Namespace, folders: UserDirs) -> None:
    with edit_lock(folders.home):
        change = removal(client, file, options.name)
        if options.print and change.kind != "none":
            print(f"{options.name} would be removed from {file}.")
            return
        if change.kind == "none":
            print(f"{options.name} is not in {file}; nothing was changed.")
        else:
            _carry_out(change, f"Removed {options.name} from {file}")
            print(f"Restart {client.title} to stop the server.")
        if not options.print:
            _print_notes(_file_notes(client, change))


def _add(
    client: Client, file: Path, options: argparse.Namespace, environ: Mapping[str, str], folders: UserDirs
) -> None:
    launch, config = _launch(options, environ)
    if options.print:
        print(f"This would be written to {file}:\n\n{preview(client, launch, options.name)}")
        return
    with edit_lock(folders.home):
        was_open = is_open_to_others(file)
        change = addition(client, file, launch, options.name)
        if change.kind == "none":
            print(f"{options.name} in {file} is up to date; nothing was changed.")
        else:
            added = f"Added {options.name} to" if change.kind == "added" else f"Changed {options.name} in"
            _carry_out(change, f"{added} {file}")
            print(client.next_step)
        _print_notes(
            (
                *_credential_notes(client, launch, config.settings.workspace or "WORKSPACE"),
                *_entry_notes(launch, environ),
                *_file_notes(client, change, was_open=was_open),
            )
        )


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}")


def _launch(options: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Launch, Configuration]:
    """Return the command that a client has to start and its variables, with the settings that they come from."""
    config = load(options)
    is_elsewhere = options.config or any(not is_unset(environ.get(name, "")) for name in _FILE_VARIABLES)
    arguments = serve_arguments(options, config.file if is_elsewhere else None)
    command = (*own_command(Path(sys.executable)), *arguments)
    if options.demo:
        if options.with_key:
            raise InvalidArgumentsError("The demo needs no key.", hint="Omit --with-key or --demo.")
        return Launch(command=command), config
    credentials = resolve_credentials(config, None)
    if options.with_key and credentials is None:
        raise missing_credentials(config)
    # The source of a value is a variable's name, or a place such as a file.
    is_key_variable = credentials is not None and credentials.source.isidentifier()
    workspace = config.settings.workspace
    plain = {_WORKSPACE: workspace} if workspace and config.sources.get("workspace", "").isidentifier() else {}
    plain |= {name: environ[name].strip() for name in _PLATFORM_VARIABLES if not is_unset(environ.get(name, ""))}
    missing = [] if workspace else [_WORKSPACE]
    launch = Launch(
        command=command,
        plain=plain,
        secret=entry_variables(credentials) if options.with_key and credentials else {},
        forwarded=(credentials.source,) if credentials and is_key_variable and not options.with_key else (),
        missing=tuple(missing if credentials else [*missing, _KEY]),
        has_credentials=credentials is not None,
    )
    return launch, config


def _file_notes(client: Client, change: Change, *, was_open: bool = False) -> Iterator[str]:
    """Yield what else changed in the file and its backups, after removing secrets from the backups."""
    if was_open and change.is_private:
        yield f"other users of this machine could read {change.file}; now only you can."
    names = " and ".join(change.dropped)
    if names and change.before != change.backup:
        yield f"{names} of the earlier entry is not in the backup either."
    for copy, done in redact_backups(client, change.file).items():
        yield f"an earlier backup had credentials in it: {copy} {done}."
    if (change.before or "").startswith("\ufeff") and not change.after.startswith("\ufeff"):
        yield "the file began with a byte order mark, which JSON does not allow; it was removed."


def _carry_out(change: Change, done: str) -> None:
    backup = change.apply()
    print(f"{done}; backup of the previous file: {backup}" if backup else f"{done}, a new file.")


def _credential_notes(client: Client, launch: Launch, workspace: str) -> Iterator[str]:
    """Yield how the server gets the credentials that are not in the entry, if any are missing there."""
    missing = launch.forwarded or launch.missing
    if not missing:
        return
    names = " and ".join(missing)
    permanent = f"run `bl login {workspace}`, or put api_key or api_key_command into the settings file"
    if client.forwarding == "prompt":
        yield f"{client.title} asks for {names} when it starts the server, and stores the answer."
    elif client.forwarding != "none":
        yield f"start {client.title} with {names} set in its environment; or {permanent}."
    elif launch.forwarded:
        yield f"{client.title} does not see {names} of this shell: {permanent}, or run this again with --with-key."
    else:
        is_not = "is not" if len(missing) == 1 else "are not"
        yield f"{names} {is_not} set: {permanent}, or export BL_API_KEY and run this again with --with-key."


def _entry_notes(launch: Launch, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what to know about the entry: secrets in it, variables that are not, a command that may vanish."""
    if launch.secret:
        yield f"the entry holds {' and '.join(launch.secret)} in clear text."
    known = {*CREDENTIAL_VARIABLES, *_PLATFORM_VARIABLES, FILE_VARIABLE, f"{PREFIX}WORKSPACE"}
    if omitted := sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        yield f"not in the entry, although set in this shell: {', '.join(omitted)}. Use the settings file for them."
    if is_ephemeral(launch.command):
        yield "this copy of blaxel-mcp is in a cache and may vanish; `uv tool install blaxel-mcp` makes it permanent."
