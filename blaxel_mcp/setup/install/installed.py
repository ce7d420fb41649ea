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


@dataclass(frozen=True, slots=True)
class InstalledEntry:
    """An entry in a client's file that runs this server.

    `command` is the program with its arguments. `environment` has the variables that the client sets for the server,
    with placeholders unexpanded; they may hold a secret. `forwarded` names those that it passes on from its own.
    """

    client: Client
    name: str
    file: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    forwarded: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The entry's name and file, for messages."""
        return f"the entry {self.name!r} in {self.file}"


@dataclass(frozen=True, slots=True)
class ClientState:
    """The state of one client on this machine: its file, and the entries in it that run this server.

    `problem` says why the file cannot be used and quotes nothing from it; it is empty if it can or does not exist.
    """

    client: Client
    file: Path
    exists: bool
    entries: tuple[InstalledEntry, ...] = ()
    problem: str = ""


def client_states(dirs: UserDirs) -> list[ClientState]:
    """Return the state of every known client, in the order of `CLIENTS`."""
    return [_client_state(client, client.file(dirs)) for client in CLIENTS]


def _client_state(client: Client, file: Path) -> ClientState:
    try:
        text = read_text(file)
        document = ConfigDocument(client, file, text)
    except ConfigurationError as error:
        return ClientState(client, file, exists=True, problem=error.message)
    entries = (
        InstalledEntry(client, name, file, command_of(entry), environment_of(entry), forwarded_by(entry))
        for name, entry in document.own_entries.items()
    )
    return ClientState(client, file, exists=text is not None, entries=tuple(entries))
