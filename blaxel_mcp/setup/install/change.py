"""A change to a client's file: made up first, so that it can be shown, then carried out."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.document import ConfigDocument
from blaxel_mcp.setup.install.entries import inputs_of, merge_entry
from blaxel_mcp.setup.install.file import read_text, replace_text
from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.launch import Launch
from blaxel_mcp.setup.install.toml_edit import TomlText

Kind = Literal["added", "changed", "removed", "none"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a client's file.

    Attributes:
        file: The file.
        kind: What is done to our entry in it.
        before: The file's text; None where there is no file.
        after: The text that it is to have.
    """

    file: Path
    kind: Kind
    before: str | None = field(repr=False)
    after: str = field(repr=False)

    def apply(self) -> Path | None:
        """Write the file, unless it is as it should be.

        Returns:
            Where the text that it had is kept, None where nothing was kept.

        Raises:
            ConfigurationError: It cannot be written; it is as it was.
        """
        return None if self.kind == "none" else replace_text(self.file, self.before, self.after)


def addition(client: Client, file: Path, launch: Launch, name: str) -> Change:
    """Make up the change by which a client gets our entry.

    Args:
        client: The client.
        file: Its file.
        launch: What it has to start.
        name: The entry's name there.

    Raises:
        InvalidArgumentsError: The client would not take the name.
        ConfigurationError: The file cannot be read or changed.
    """
    _check_name(client, name)
    before = read_text(file)
    settings = ConfigDocument(before or "", client, file)
    after = settings.with_entry(launch, name)
    kind: Kind = "changed" if name in settings.servers() else "added"
    return Change(file=file, kind=kind if after != before else "none", before=before, after=after)


def removal(client: Client, file: Path, name: str) -> Change:
    """Make up the change that takes our entry out; none where it is not there.

    Raises:
        ConfigurationError: The file cannot be read or changed, or the entry is another server's.
    """
    before = read_text(file)
    if before is None:
        return Change(file=file, kind="none", before=None, after="")
    settings = ConfigDocument(before, client, file)
    if name not in settings.servers():
        return Change(file=file, kind="none", before=before, after=before)
    return Change(file=file, kind="removed", before=before, after=settings.without_entry(name))


def preview(client: Client, launch: Launch, name: str) -> str:
    """The entry as it would stand in an empty file, with secrets masked.

    Raises:
        InvalidArgumentsError: The client would not take the name.
    """
    _check_name(client, name)
    masked = replace(launch, secret=dict.fromkeys(launch.secret, "(hidden)"))
    entry = merge_entry({}, client, masked, name)
    if client.syntax == "toml":
        return TomlText("").put(entry, client.key, name).text
    text = JsonText("", comments=False).put({name: entry}, client.key)
    inputs = inputs_of(entry, client, name)
    return (text.put(inputs, "inputs") if inputs else text).text


def _check_name(client: Client, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgumentsError(
            f"{json.dumps(name)} cannot be an entry's name.", hint="Take 1 to 40 letters, digits, - or _."
        )
    if client.refused_in_names and set(client.refused_in_names) & set(name):
        raise InvalidArgumentsError(
            f"{client.title} cannot have {client.refused_in_names} in a server's name, which {name} has.",
            hint="Choose another with --name.",
        )
