"""Changes to a client's file, made before anything is written so that they can be shown first."""

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.private_files import replace_file
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.document import ConfigDocument
from blaxel_mcp.setup.install.entries import Launch
from blaxel_mcp.setup.install.file import backups_of, check_writable, is_open_to_others, read_text, replace_text

Kind = Literal["added", "changed", "removed", "none"]

DEFAULT_NAME = "blaxel-models"
"""The name of an entry: Blaxel's documentation calls its own hosted MCP server `blaxel`."""

EARLIER_NAME = "blaxel"
"""The earlier default. Our existing entries keep it, since permissions and prompts in the client refer to it."""

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,40}")
"""With a `-` first, the name would be an option in the commands that doctor and install print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change to our entry in a client's file that is not yet written.

    `before` is the file's current text, None if there is no file, and `after` is its new text. `backup` is the text of
    the backup, without the secrets of our entries; None if none is made. `dropped` has the variables whose secrets the
    file no longer spells out. With `is_private`, the file is closed to other users: it spells out a secret of ours.
    """

    file: Path
    kind: Kind
    before: str | None = field(repr=False)
    after: str = field(repr=False)
    backup: str | None = field(default=None, repr=False)
    dropped: tuple[str, ...] = ()
    is_private: bool = False

    def check_writable(self) -> None:
        """Raise ConfigurationError if `apply` may not write the file, as far as that shows without writing."""
        if self.kind != "none":
            check_writable(self.file)

    def apply(self) -> Path | None:
        """Write the file, unless nothing changes, and return the backup of the previous one; None if none was made.

        Raises:
            ConfigurationError: The file cannot be written. It is unchanged.
        """
        if self.kind == "none":
            return None
        return replace_text(self.file, self.before, self.after, backup=self.backup, private=self.is_private)


def usual_name(client: Client, file: Path) -> str:
    """Return the name of our entry if none is given: the default one, or the earlier one if only that is there."""
    names = own_names(client, file)
    return EARLIER_NAME if EARLIER_NAME in names and DEFAULT_NAME not in names else DEFAULT_NAME


def own_names(client: Client, file: Path) -> list[str]:
    """Return the names of the entries in a client's file that run this server."""
    return list(_read(client, file)[1].own_entries)


def _read(client: Client, file: Path) -> tuple[str | None, ConfigDocument]:
    """Return a file's text, and its document without a byte order mark, which JSON does not allow."""
    text = read_text(file)
    plain = text.removeprefix("\ufeff") if text is not None and client.syntax == "json" else text
    return text, ConfigDocument(client, file, plain)


def addition(client: Client, file: Path, launch: Launch, name: str) -> Change:
    """Return the change that adds our entry or brings it up to date.

    Raises:
        InvalidArgumentsError: The client does not accept the name.
        ConfigurationError: The file cannot be read or edited, or the name belongs to another server's entry.
    """
    _check_name(client, name)
    before, document = _read(client, file)
    after = document.with_entry(launch, name)
    is_private = bool(ConfigDocument(client, file, after).secrets())
    is_same = after == before and not (is_private and is_open_to_others(file))
    kind: Kind = "none" if is_same else "changed" if name in document.servers else "added"
    return _change(client, file, kind, before, after)


def removal(client: Client, file: Path, name: str) -> Change:
    """Return the change that removes our entry, of the kind "none" if there is none; it raises what `addition` does."""
    before, document = _read(client, file)
    if name not in document.servers:
        return Change(file=file, kind="none", before=before, after=before or "")
    return _change(client, file, "removed", before, document.without_entry(name))


def redact_backups(client: Client, file: Path) -> dict[Path, str]:
    """Remove the secrets of this server's entries from the backups of a client's file.

    Return each backup that spelled out a secret, and its treatment: edited, deleted if it cannot be edited, or neither.
    """
    redacted = {}
    for copy in backups_of(file):
        # Another file with such a name is not a backup of this client's settings.
        with suppress(ConfigurationError):
            document = ConfigDocument(client, copy, read_text(copy))
            if document.secrets():
                redacted[copy] = _redact(copy, document)
    return redacted


def _redact(copy: Path, document: ConfigDocument) -> str:
    try:
        try:
            replace_file(copy, document.without_secrets().encode(), like=copy.stat())
        except ConfigurationError:
            copy.unlink()
            return "was deleted"
    except OSError as error:
        return f"still holds them ({error.strerror or type(error).__name__}); delete it"
    return "no longer holds them"


def _change(client: Client, file: Path, kind: Kind, before: str | None, after: str) -> Change:
    """Return a change, with a backup that spells out none of our secrets."""
    document, backup = ConfigDocument(client, file, before), before
    secrets = document.secrets()
    try:
        backup = document.without_secrets() if secrets else before
    except ConfigurationError:
        # The form cannot be edited, so the secrets are replaced as text.
        for value in secrets.values():
            backup = (backup or "").replace(value, "removed-by-blaxel-mcp")
    remaining = ConfigDocument(client, file, after).secrets()
    return Change(
        file=file,
        kind=kind,
        before=before,
        after=after,
        backup=backup,
        dropped=tuple(name for name, value in secrets.items() if remaining.get(name) != value),
        is_private=bool(remaining),
    )


def preview(client: Client, launch: Launch, name: str) -> str:
    """Return the entry as it would be written into an empty file, with secrets masked."""
    _check_name(client, name)
    masked = replace(launch, secret=dict.fromkeys(launch.secret, "(hidden)"))
    return ConfigDocument(client, "the new file", None).with_entry(masked, name)


def _check_name(client: Client, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgumentsError(
            f"{literal(name)} is not a valid entry name.",
            hint=f"Use 1 to 40 letters, digits, `-` or `_`, without a `-` first, such as `--name {DEFAULT_NAME}`.",
        )
    if client.refused_in_names and client.refused_in_names in name:
        allowed = name.replace(client.refused_in_names, "-").strip("-") or DEFAULT_NAME
        raise InvalidArgumentsError(
            f"{client.title} does not allow {client.refused_in_names} in a server's name, as in {name}.",
            hint=f"Choose another name, such as `--name {allowed}`.",
        )
