"""Changes to a client's file, made before anything is written so that they can be shown first."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.document import ConfigDocument
from blaxel_mcp.setup.install.file import read_text, replace_text
from blaxel_mcp.setup.install.launch import Launch

Kind = Literal["added", "changed", "removed", "none"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change to our entry in a client's file that is not yet written.

    `before` is the file's current text, None if there is no file, and `after` is its new text.
    """

    file: Path
    kind: Kind
    before: str | None = field(repr=False)
    after: str = field(repr=False)

    def apply(self) -> Path | None:
        """Write the file, unless nothing changes, and return the backup of the previous one; None if none was made.

        Raises:
            ConfigurationError: The file cannot be written. It is unchanged.
        """
        return None if self.kind == "none" else replace_text(self.file, self.before, self.after)


def addition(client: Client, file: Path, launch: Launch, name: str) -> Change:
    """Return the change that adds our entry or brings it up to date.

    Raises:
        InvalidArgumentsError: The client does not accept the name.
        ConfigurationError: The file cannot be read or edited, or the name belongs to another server's entry.
    """
    _check_name(client, name)
    before = read_text(file)
    document = ConfigDocument(client, file, before)
    after = document.with_entry(launch, name)
    kind: Kind = "changed" if name in document.servers else "added"
    return Change(file=file, kind=kind if after != before else "none", before=before, after=after)


def removal(client: Client, file: Path, name: str) -> Change:
    """Return the change that removes our entry; its kind is "none" if there is no such entry.

    Raises:
        ConfigurationError: The file cannot be read or edited, or the name belongs to another server's entry.
    """
    before = read_text(file)
    document = ConfigDocument(client, file, before)
    if name not in document.servers:
        return Change(file=file, kind="none", before=before, after=before or "")
    return Change(file=file, kind="removed", before=before, after=document.without_entry(name))


def preview(client: Client, launch: Launch, name: str) -> str:
    """Return the entry as it would be written into an empty file, with secrets masked.

    Raises:
        InvalidArgumentsError: The client does not accept the name.
    """
    _check_name(client, name)
    masked = replace(launch, secret=dict.fromkeys(launch.secret, "(hidden)"))
    return ConfigDocument(client, "the new file", None).with_entry(masked, name)


def _check_name(client: Client, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgumentsError(
            f"{literal(name)} is not a valid entry name.",
            hint="Use 1 to 40 letters, digits, `-` or `_`, such as `--name blaxel`.",
        )
    if client.refused_in_names and client.refused_in_names in name:
        allowed = name.replace(client.refused_in_names, "-").strip("-") or "blaxel"
        raise InvalidArgumentsError(
            f"{client.title} does not allow {client.refused_in_names} in a server's name, as in {name}.",
            hint=f"Choose another name, such as `--name {allowed}`.",
        )
