"""Which clients of this machine start this server, and as what."""

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
    """An entry in a client's settings that runs this server.

    Attributes:
        client: The client's name on our command line, such as "claude-desktop".
        name: The entry's name.
        file: The client's file.
        command: The program and its arguments.
        environment: The variables that the client sets for it, placeholders unexpanded; they may hold a secret, so
            they are not in the repr.
        forwarded: The names of the variables that the client hands on from its own environment.
    """

    client: str
    name: str
    file: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    forwarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A client's file that is there and cannot be used.

    Attributes:
        client: The client's name on our command line.
        file: The file.
        message: What is wrong with it, with line and column where that is known; nothing of the file is quoted.
    """

    client: str
    file: Path
    message: str


@dataclass(frozen=True, slots=True)
class ClientState:
    """What is known of a client on this machine.

    Attributes:
        client: The client.
        file: Its file, whether there is one or not.
        exists: Whether there is.
        entries: The entries in it that run this server.
        problem: What is wrong with the file, if anything is.
    """

    client: Client
    file: Path
    exists: bool
    entries: tuple[InstalledEntry, ...] = ()
    problem: FileProblem | None = None


def client_states(dirs: UserDirs) -> list[ClientState]:
    """What is known of every client, in the table's order."""
    return [_client_state(client, client.file(dirs)) for client in CLIENTS]


def installed_entries(dirs: UserDirs) -> list[InstalledEntry]:
    """Every entry in the clients' files of a user that runs this server; `file_problems` has the files left out."""
    return [entry for state in client_states(dirs) for entry in state.entries]


def file_problems(dirs: UserDirs) -> list[FileProblem]:
    """What is wrong with those of the clients' files that cannot be used."""
    return [state.problem for state in client_states(dirs) if state.problem is not None]


def _client_state(client: Client, file: Path) -> ClientState:
    try:
        text = read_text(file)
        servers = {} if text is None else ConfigDocument(text, client, file).servers()
    except ConfigurationError as error:
        return ClientState(client, file, exists=True, problem=FileProblem(client.name, file, str(error)))
    entries = [
        InstalledEntry(client.name, name, file, command_of(entry), environment_of(entry), forwarded_by(entry))
        for name, entry in servers.items()
        if runs_this_server(command_of(entry))
    ]
    return ClientState(client, file, exists=text is not None, entries=tuple(entries))
