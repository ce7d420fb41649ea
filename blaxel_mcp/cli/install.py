"""`blaxel-mcp install`: adds the server to an MCP client's own settings, or removes it from them."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from blaxel_mcp.cli.console import ReportConsole, aligned, folded, print_text
from blaxel_mcp.cli.install_notes import (
    PLATFORM_VARIABLES,
    credential_notes,
    entry_left_notes,
    entry_notes,
    file_notes,
    name_notes,
)
from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import load, serve_arguments
from blaxel_mcp.client.auth.credentials import entry_variables, missing_credentials, resolve_credentials
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.settings.environment import FILE_VARIABLE
from blaxel_mcp.settings.loading import process_environment
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.setup.install.change import Change, addition, preview, removal, usual_name
from blaxel_mcp.setup.install.clients import CLIENTS, Client, client_named
from blaxel_mcp.setup.install.file import edit_lock, is_open_to_others
from blaxel_mcp.setup.install.folders import UserDirs, user_dirs
from blaxel_mcp.setup.install.installed import ClientState, client_states
from blaxel_mcp.setup.install.launch import Launch, own_command

_WORKSPACE, _KEY = "BL_WORKSPACE", "BL_API_KEY"

_FILE_VARIABLES = (FILE_VARIABLE, "XDG_CONFIG_HOME")
"""The variables that move the settings file; a client starts the server without them."""


def install(options: argparse.Namespace) -> int:
    """Add the server to a client's settings or remove it; without a client, list the known ones."""
    environ = process_environment()
    folders = user_dirs(environ)
    if options.all and (options.client or options.file):
        raise InvalidArgumentsError(
            f"--all changes every client, so it cannot be combined with {'CLIENT' if options.client else '--file'}."
        )
    if options.client is None and not options.all:
        for name in ("name", "file", "with_key", "print", "remove"):
            if getattr(options, name):
                raise InvalidArgumentsError(
                    f"--{name.replace('_', '-')} needs the name of a client, or --all.",
                    hint="Use `blaxel-mcp install CLIENT ...`; `blaxel-mcp install` lists the clients.",
                )
        _print_clients(client_states(folders), folders.home)
        return ExitCode.OK
    client = None if options.all else client_named(options.client)
    run = _Run(options, environ, folders, None if options.remove else _launch(options, environ))
    if client is None:
        return _change_all(run)
    # Path.expanduser raises if the home directory is unknown.
    file = Path(os.path.expanduser(options.file)).absolute() if options.file else client.file(folders)  # noqa: PTH111 - the line above
    _change(client, file, run)
    return ExitCode.OK


def _change_all(run: "_Run") -> int:
    """Change each client that is on this machine, even after one that cannot be changed, and return the exit code."""
    present = [client for client in CLIENTS if client.is_on_machine(run.folders)]
    code = ExitCode.OK
    for client in present:
        print(f"{client.title}:", flush=True)
        try:
            _change(client, client.file(run.folders), run)
        except BlaxelError as error:
            code = print_error(error)
    skipped = ", ".join(client.title for client in CLIENTS if client not in present)
    if skipped:
        print(f"Skipped, since not found on this machine: {skipped}.")
    return code if present else ExitCode.FAILED


def _print_clients(states: list[ClientState], home: Path) -> None:
    console, rows = ReportConsole(), []
    for state in states:
        if state.problem:
            status = "cannot be read"
        elif state.entries:
            status = f"installed as {', '.join(entry.name for entry in state.entries)}"
        else:
            status = "not installed" if state.exists else "no file"
        is_short = console.is_terminal and state.file.is_relative_to(home)
        shown = Path("~", state.file.relative_to(home)) if is_short else state.file
        rows.append((state.client.name, status, str(shown)))
    width = console.window
    lines = aligned(rows, width)
    print_text("\n".join(lines or (f"{name}  {status}\n  {file}" for name, status, file in rows)))
    for state in states:
        if state.problem:
            print(folded(f"{state.client.name}: {state.problem}", width, 2))
    end = "`blaxel-mcp install CLIENT` adds the server to one of them, `--all` to each that is on this machine."
    print(folded(end, width))


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the command. `launch` is what a client has to start; None if the entry is removed."""

    options: argparse.Namespace
    environ: Mapping[str, str]
    folders: UserDirs
    launch: Launch | None


def _change(client: Client, file: Path, run: _Run) -> None:
    with edit_lock(run.folders.home):
        name = usual_name(client, file) if run.options.name is None else run.options.name
        if run.launch is None:
            _remove(client, file, name, is_preview=run.options.print)
        else:
            _add(client, file, name, run, run.launch)


def _remove(client: Client, file: Path, name: str, *, is_preview: bool) -> None:
    change = removal(client, file, name)
    if change.kind == "none":
        print(f"{name} is not in {file}; nothing was changed.")
    elif is_preview:
        change.check_writable()
        print(f"{name} would be removed from {file}.")
    else:
        _carry_out(change, f"Removed {name} from {file}")
        print(f"Restart {client.title} to stop the server.")
    if not is_preview:
        _print_notes((*file_notes(client, change), *entry_left_notes(client, change, name)))


def _add(client: Client, file: Path, name: str, run: _Run, launch: Launch) -> None:
    was_open, is_present = is_open_to_others(file), client.is_on_machine(run.folders) or run.options.file is not None
    change = addition(client, file, launch, name)
    if run.options.print:
        change.check_writable()
        print(f"This would be written to {file}:\n\n{preview(client, launch, name)}")
        return
    if change.kind == "none":
        print(f"{name} in {file} is up to date; nothing was changed.")
    else:
        added = f"Added {name} to" if change.kind == "added" else f"Changed {name} in"
        _carry_out(change, f"{added} {file}")
        print(client.next_step)
    _print_notes(
        (
            *name_notes(client, name, is_present=is_present),
            *credential_notes(client, launch),
            *entry_notes(launch, run.environ),
            *file_notes(client, change, was_open=was_open),
        )
    )


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print_text(f"note: {note}")


def _launch(options: argparse.Namespace, environ: Mapping[str, str]) -> Launch:
    config = load(options)
    is_elsewhere = options.config or any(not is_unset(environ.get(name, "")) for name in _FILE_VARIABLES)
    arguments = serve_arguments(options, config.file if is_elsewhere else None)
    command = (*own_command(Path(sys.executable)), *arguments)
    if options.demo:
        if options.with_key:
            raise InvalidArgumentsError("The demo needs no key.", hint="Omit --with-key or --demo.")
        return Launch(command=command)
    credentials = resolve_credentials(config, None)
    if options.with_key and credentials is None:
        raise missing_credentials(config)
    # The source of a value is a variable's name, or a place such as a file.
    is_key_variable = credentials is not None and credentials.source.isidentifier()
    workspace = config.settings.workspace
    plain = {_WORKSPACE: workspace} if workspace and config.sources.get("workspace", "").isidentifier() else {}
    plain |= {name: environ[name].strip() for name in PLATFORM_VARIABLES if not is_unset(environ.get(name, ""))}
    _require_lasting_urls(plain)
    missing = [] if workspace else [_WORKSPACE]
    return Launch(
        command=command,
        plain=plain,
        secret=entry_variables(credentials) if options.with_key and credentials else {},
        forwarded=(credentials.source,) if credentials and is_key_variable and not options.with_key else (),
        missing=tuple(missing if credentials else [*missing, _KEY]),
        has_credentials=credentials is not None,
        workspace=workspace,
    )


def _require_lasting_urls(variables: Mapping[str, str]) -> None:
    """Raise if a URL leads to this machine, as an emulator's does: once that ends, the client has no server."""
    local = [name for name, value in variables.items() if is_loopback(urlsplit(value).hostname or "")]
    if local:
        lead = "leads" if len(local) == 1 else "lead"
        raise InvalidArgumentsError(
            f"{' and '.join(local)} {lead} to this machine, where a client finds nothing once an emulator has ended.",
            hint=f"Unset {' and '.join(local)}, or use --demo for a server with its own emulator. For a gateway of "
            "your own, put run_url and api_url into the settings file.",
        )


def _carry_out(change: Change, done: str) -> None:
    backup = change.apply()
    print(f"{done}; backup of the previous file: {backup}" if backup else f"{done}, a new file.")
