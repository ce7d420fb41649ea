"""The clients on this machine that start this server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.clients import CLIENTS, Client
from blaxel_mcp.setup.install.document import ConfigDocument
from blaxel_mcp.setup.install.entries import command_of, environment_of, forwarded_by
from blaxel_mcp.setup.install.file import read_text
from blaxel_mcp.setup.install.folders import UserDirs
from blaxel_mcp.setup.install.launch import runs_this_server


@dataclass(frozen=True, slots=True)
class InstalledEntry:
    """An entry in a client's file that runs this server.

    Attributes:
        client: The client's name on our command line, such as "claude-desktop".
        name: The entry's name.
        file: The client's file.
        command: The program and its arguments.
        environment: The variables that the client sets for the server, with placeholders unexpanded. They may hold a
            secret, so the repr omits them.
        forwarded: The names of the variables that the client passes on from its own environment.
    """

    client: str
    name: str
    file: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    forwarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A client's file that exists but cannot be used.

    Attributes:
        client: The client's name on our command line.
        file: The file.
        message: What is wrong, in a sentence, with line and column if known; it quotes nothing from the file.
    """

    client: str
    file: Path
    message: str


@dataclass(frozen=True, slots=True)
class ClientState:
    """The state of one client on this machine.

    Attributes:
        client: The client.
        file: The path of the client's file.
        exists: Whether the file exists.
        entries: The entries in the file that run this server.
        problem: Why the file cannot be used; None if it can or does not exist.
    """

    client: Client
    file: Path
    exists: bool
    entries: tuple[InstalledEntry, ...] = ()
    problem: FileProblem | None = None


def client_states(dirs: UserDirs) -> list[ClientState]:
    """Return the state of every known client, in the order of `CLIENTS`."""
    return [_client_state(client, client.file(dirs)) for client in CLIENTS]


def installed_entries(dirs: UserDirs) -> list[InstalledEntry]:
    """Return every entry that runs this server, from the files that can be read."""
    return [entry for state in client_states(dirs) for entry in state.entries]


def file_problems(dirs: UserDirs) -> list[FileProblem]:
    """Return the problem of each client's file that cannot be used."""
    return [state.problem for state in client_states(dirs) if state.problem is not None]


def _client_state(client: Client, file: Path) -> ClientState:
    try:
        text = read_text(file)
        servers = {} if text is None else ConfigDocument(text, client, file).servers()
    except ConfigurationError as error:
        return ClientState(client, file, exists=True, problem=FileProblem(client.name, file, error.message))
    entries = [
        InstalledEntry(client.name, name, file, command_of(entry), environment_of(entry), forwarded_by(entry))
        for name, entry in servers.items()
        if runs_this_server(command_of(entry))
    ]
    return ClientState(client, file, exists=text is not None, entries=tuple(entries))
