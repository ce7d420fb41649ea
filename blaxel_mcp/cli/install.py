"""`blaxel-mcp install`: adds the server to an MCP client's own settings, or removes it from them."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from blaxel_mcp.cli.console import ReportConsole, aligned, folded, print_text
from blaxel_mcp.cli.main import print_error
from blaxel_mcp.cli.settings import load, serve_arguments
from blaxel_mcp.client.auth.credentials import entry_variables, missing_credentials, resolve_credentials
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.settings.environment import BLAXEL_ENVIRONMENT, FILE_VARIABLE, PREFIX
from blaxel_mcp.settings.loading import process_environment
from blaxel_mcp.settings.placeholders import is_unset
from blaxel_mcp.setup.install.change import (
    DEFAULT_NAME,
    EARLIER_NAME,
    Change,
    addition,
    own_names,
    preview,
    redact_backups,
    removal,
    usual_name,
)
from blaxel_mcp.setup.install.clients import CLIENTS, Client, UserDirs, client_named, user_dirs
from blaxel_mcp.setup.install.document import ClientState, client_states
from blaxel_mcp.setup.install.entries import CREDENTIAL_VARIABLES, Launch, is_ephemeral, own_command
from blaxel_mcp.setup.install.file import edit_lock, is_open_to_others

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


PLATFORM_VARIABLES = (
    BLAXEL_ENVIRONMENT,
    *("BL_API_URL", "BL_RUN_URL", "BL_API_VERSION"),
    *("BLAXEL_MCP_API_URL", "BLAXEL_MCP_RUN_URL", "BLAXEL_MCP_API_VERSION"),
)
"""The variables that select the platform: no secrets, and without them the key would be sent to another one."""


def name_notes(client: Client, name: str, *, is_present: bool) -> Iterator[str]:
    """Yield notes on an entry's name, and on a client that is not on this machine."""
    if not is_present:
        yield f"{client.title} was not found on this machine; it will read the entry once it is installed."
    if name == EARLIER_NAME:
        yield (
            f"the entry keeps its name {name}, which Blaxel uses for its own hosted server. To rename it, add "
            f"{DEFAULT_NAME} with `--name {DEFAULT_NAME}`, then remove {name} with `--name {name} --remove`."
        )


def entry_left_notes(client: Client, change: Change, name: str) -> Iterator[str]:
    """Yield notes on the other entries of a client's file that run this server."""
    for other in own_names(client, change.file):
        if other != name:
            yield (
                f"this server is also there as {other}; "
                f"`blaxel-mcp install {client.name} --name {shlex.quote(other)} --remove` removes that entry."
            )


def file_notes(client: Client, change: Change, *, was_open: bool = False) -> Iterator[str]:
    """Yield notes on other changes to the file and its backups, after removing secrets from the backups."""
    if was_open and change.is_private:
        yield f"other users of this machine could read {change.file}; now only you can."
    names = " and ".join(change.dropped)
    if names and change.before != change.backup:
        yield f"{names} of the earlier entry is not in the backup either."
    for copy, done in redact_backups(client, change.file).items():
        yield f"an earlier backup had credentials in it: {copy} {done}."
    if (change.before or "").startswith("\ufeff") and not change.after.startswith("\ufeff"):
        yield "the file began with a byte order mark, which JSON does not allow; it was removed."


def credential_notes(client: Client, launch: Launch) -> Iterator[str]:
    """Yield notes on how the server gets credentials that are not in the entry."""
    missing = launch.forwarded or launch.missing
    if not missing:
        return
    names = " and ".join(missing)
    login = f"bl login {launch.workspace or 'WORKSPACE'}"
    permanent = f"run `{login}`, or put api_key or api_key_command into the settings file"
    if client.forwarding == "prompt":
        yield f"{client.title} asks for {names} when it starts the server, and stores the answer."
    elif client.forwarding != "none":
        yield f"start {client.title} with {names} set in its environment; or {permanent}."
    elif launch.forwarded:
        yield f"{client.title} does not see {names} of this shell: {permanent}, or run this again with --with-key."
    else:
        is_not = "is not" if len(missing) == 1 else "are not"
        yield f"{names} {is_not} set: {permanent}, or export BL_API_KEY and run this again with --with-key."


def entry_notes(launch: Launch, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield notes on the entry: secrets in it, variables that are not in it, a command that may vanish."""
    if launch.secret:
        yield f"the entry holds {' and '.join(launch.secret)} in clear text."
    known = {*CREDENTIAL_VARIABLES, *PLATFORM_VARIABLES, FILE_VARIABLE, f"{PREFIX}WORKSPACE"}
    if omitted := sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        yield f"not in the entry, although set in this shell: {', '.join(omitted)}. Use the settings file for them."
    if is_ephemeral(launch.command):
        yield (
            "this copy of blaxel-mcp is in a cache and may vanish; "
            "`uv tool install` or `pipx install` makes it permanent."
        )
