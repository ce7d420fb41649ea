"""A client's settings as text, in any syntax: this server's entries in it, and edits to one of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.clients import CLIENTS, Client, UserDirs
from blaxel_mcp.setup.install.entries import (
    Launch,
    command_of,
    environment_of,
    forwarded_by,
    inputs_of,
    merge_entry,
    runs_this_server,
    secrets_in,
    without_secrets,
)
from blaxel_mcp.setup.install.file import UneditableError, not_a_table, read_text
from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.toml_edit import TomlText


class ConfigDocument:
    """The text of a client's file, and the entries of all servers in it by name; a blank text and None count as empty.

    Raises:
        ConfigurationError: The text cannot be parsed, or is in a form that is not edited; its table of servers is
            something else; or a name belongs to another server's entry. The message quotes nothing from the file.
    """

    def __init__(self, client: Client, file: object, text: str | None) -> None:
        self._client = client
        self._file = file
        with self._errors_reported():
            self._text: JsonText | TomlText = (
                TomlText(text or "")
                if client.syntax == "toml"
                else JsonText(text or "", comments=client.syntax == "jsonc", within=client.key)
            )
            servers = self._text.get(client.key)
            if servers is not None and not isinstance(servers, dict):
                raise not_a_table(client.key)
        self.servers: dict[str, Any] = servers or {}

    @property
    def own_entries(self) -> dict[str, Any]:
        """The entries that run this server, by name."""
        return {name: entry for name, entry in self.servers.items() if runs_this_server(command_of(entry))}

    def with_entry(self, launch: Launch, name: str) -> str:
        """Return the text with our entry added or brought up to date."""
        if any("\udc80" <= character <= "\udcff" for character in "".join(launch.command)):
            raise ConfigurationError(
                "A path in the server's command is not UTF-8, so the client's file cannot hold it.",
                hint="Nothing was changed. Rename that file or folder.",
            )
        entry = merge_entry(self._own_entry(name) or {}, self._client, launch, name)
        with self._errors_reported():
            text = self._text.put(entry, self._client.key, name)
            if isinstance(text, JsonText):
                for prompt in inputs_of(entry, self._client, name):
                    if prompt["id"] not in _input_ids(text):
                        text = text.append(prompt, "inputs")
        return text.text

    def without_entry(self, name: str) -> str:
        """Return the text without our entry and without the inputs that only our entry used."""
        entry = self._own_entry(name)
        with self._errors_reported():
            text = self._text.drop(self._client.key, name)
        for prompt in inputs_of(entry, self._client, name):
            if isinstance(text, JsonText) and f"${{input:{prompt['id']}}}" not in text.text:
                for index, input_id in reversed(list(enumerate(_input_ids(text)))):
                    if input_id == prompt["id"]:
                        text = text.drop_element(index, "inputs")
        return text.text

    def secrets(self) -> dict[str, str]:
        """Return the secrets that the entries of this server spell out, by the names of their variables."""
        return {name: value for entry in self.own_entries.values() for name, value in secrets_in(entry).items()}

    def without_secrets(self) -> str:
        """Return the text without the secrets that the entries of this server spell out."""
        text = self._text
        with self._errors_reported():
            for name, entry in self.own_entries.items():
                if secrets_in(entry):
                    text = text.put(without_secrets(entry), self._client.key, name)
        return text.text

    def _own_entry(self, name: str) -> Any:
        """Return our entry with this name, or None; raise if the name belongs to another server's entry."""
        entry = self.servers.get(name)
        if entry is not None and not runs_this_server(command_of(entry)):
            raise ConfigurationError(
                f"{self._client.key} in {self._file} already has an entry {name}, which does not run blaxel-mcp.",
                hint="Nothing was changed. Choose another name with --name NAME, or remove that entry by hand.",
            )
        return entry

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except UneditableError as error:
            raise error.about(self._file, self._client.name) from None


def _input_ids(text: JsonText) -> list[Any]:
    """Return the id of each element of the document's `inputs`; None for an element without one."""
    inputs = text.get("inputs")
    elements = inputs if isinstance(inputs, list) else []
    return [element.get("id") if isinstance(element, dict) else None for element in elements]


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
