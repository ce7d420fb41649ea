"""`blaxel-mcp install`: adds the server to an MCP client's own settings, or takes it out again."""

import argparse
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from blaxel_mcp.cli.install_launch import launch_for, left_behind
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.settings.loading import Configuration, process_environment
from blaxel_mcp.setup.install import (
    Change,
    Client,
    ClientState,
    Launch,
    addition,
    client_named,
    client_states,
    is_ephemeral,
    preview,
    removal,
    user_dirs,
)

logger = logging.getLogger(__name__)


def install(options: argparse.Namespace) -> int:
    """Add the server to a client's settings; without a client, list them.

    Raises:
        InvalidArgumentsError: There is no such client, or it would not take the name.
        ConfigurationError: The settings cannot be used, or the client's file cannot; the file is as it was.
    """
    environ = process_environment()
    where = user_dirs(environ)
    if options.client is None:
        _refuse_without_client(options)
        _print_clients(client_states(where))
        return 0
    client = client_named(options.client)
    file = _absolute(options.file) if options.file else client.file(where)
    if options.remove:
        _remove(client, file, options)
    else:
        _add(client, file, options, environ)
    return 0


def _refuse_without_client(options: argparse.Namespace) -> None:
    for name in ("file", "with_key", "print", "remove"):
        if getattr(options, name):
            raise InvalidArgumentsError(
                f"--{name.replace('_', '-')} is for one client.",
                hint="Name it: `blaxel-mcp install CLIENT ...`; `blaxel-mcp install` lists them.",
            )


def _print_clients(states: list[ClientState]) -> None:
    rows = [(state.client.name, _state(state), str(state.file)) for state in states]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, found, file in rows:
        print(f"{name:<{widths[0]}}  {found:<{widths[1]}}  {file}")
    for state in states:
        if state.problem is not None:
            print(f"{state.client.name}: {state.problem.message}")
    print("`blaxel-mcp install CLIENT` adds the server to one of them.")


def _state(state: ClientState) -> str:
    if state.problem is not None:
        return "cannot be read"
    if state.entries:
        return f"installed as {', '.join(entry.name for entry in state.entries)}"
    return "not installed" if state.exists else "no file"


def _absolute(file: str) -> Path:
    # Not Path's own expanduser, which raises where a home directory is unknown.
    return Path(os.path.expanduser(file)).absolute()  # noqa: PTH111 - the line above


def _remove(client: Client, file: Path, options: argparse.Namespace) -> None:
    change = removal(client, file, options.name)
    if change.kind == "none":
        print(f"{options.name} is not in {file}; nothing was changed.")
    elif options.print:
        print(f"{options.name} would be taken out of {file}.")
    else:
        _carry_out(change, f"Took {options.name} out of {file}")
        print(f"{client.title} goes on without it once it is started again.")


def _add(client: Client, file: Path, options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    launch, config = launch_for(options, environ)
    for warning in config.warnings:
        logger.warning(warning)
    if options.print:
        entry = preview(client, launch, options.name)
        print(f"This would go into {file}:\n\n{entry}")
        return
    change = addition(client, file, launch, options.name)
    if change.kind == "none":
        print(f"{options.name} is in {file} already, as it should be; nothing was changed.")
    else:
        _carry_out(
            change, f"Added {options.name} to {file}" if change.kind == "added" else f"Changed {options.name} in {file}"
        )
        print(client.next_step)
    for note in _notes(client, launch, config, environ, file=file):
        print(f"note: {note}")


def _carry_out(change: Change, done: str) -> None:
    backup = change.apply()
    print(f"{done}; the file as it was: {backup}" if backup else f"{done}, a new file.")


def _notes(
    client: Client, launch: Launch, config: Configuration, environ: Mapping[str, str], *, file: Path
) -> Iterator[str]:
    """What the user has to see to, if anything."""
    yield from _credential_notes(client, launch, config)
    if launch.secret:
        yield f"the entry holds {' and '.join(launch.secret)} in clear text."
        if os.name == "posix" and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"other users of this machine can read it; run `chmod 600 {file}`."
    left = left_behind(environ)
    if left:
        yield f"not taken over from this shell: {', '.join(left)}. The settings file is the place for them."
    if is_ephemeral(launch.command):
        yield "this copy of blaxel-mcp lies in a cache; `uv tool install blaxel-mcp` gives one that stays."


def _credential_notes(client: Client, launch: Launch, config: Configuration) -> Iterator[str]:
    workspace = config.settings.workspace or "WORKSPACE"
    lasting = f"run `bl login {workspace}`, or put api_key or api_key_command into the settings file"
    missing = launch.forwarded or launch.missing
    if not missing:
        return
    names = " and ".join(missing)
    if client.forwarding == "prompt":
        yield f"{client.title} asks for {names} when it starts the server, and keeps the answer."
    elif client.forwarding != "none":
        are = "are" if len(missing) > 1 else "is"
        yield f"{client.title} has to be started where {names} {are} set; or {lasting}."
    elif launch.forwarded:
        yield (
            f"{client.title} does not see {names} of this shell, and it was not written: {lasting}, "
            "or run this again with --with-key."
        )
    else:
        yield f"nothing says {names} so far: {lasting}, or export BL_API_KEY and run this again with --with-key."
