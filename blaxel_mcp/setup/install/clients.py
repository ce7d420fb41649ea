"""The known MCP clients: each one's file, the format of its entries, and how it passes variables to a server."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from blaxel_mcp.core.exceptions import ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.core.suggestions import closest_names

_FOLDER_VARIABLES = ("APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "PATH")
"""The variables that say where clients and their files are; the rest of the environment is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDirs:
    """A user's folders on a machine.

    `platform` is a value of `sys.platform`; other ones than "darwin" and "win32" count as Linux. `environ` has the
    variables that name folders, of which an absent or empty one means the platform's default, and PATH.
    """

    home: Path
    platform: str
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def folder(self, variable: str, default: Path) -> Path:
        """Return the folder that a variable names, otherwise the default; XDG ignores relative paths."""
        value = self.environ.get(variable, "").strip()
        return Path(value) if value and (Path(value).is_absolute() or self.platform == "win32") else default

    @property
    def application_settings(self) -> Path:
        """The folder in which each desktop application has a folder for its settings."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.folder("APPDATA", self.home / "AppData" / "Roaming")
        return self.folder("XDG_CONFIG_HOME", self.home / ".config")


def user_dirs(environ: Mapping[str, str]) -> UserDirs:
    """Return the folders of the user who runs this process; ConfigurationError if there is no home directory."""
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            "This user has no home directory, where MCP clients keep their settings.",
            hint="Set HOME, such as `export HOME=/home/you`.",
        ) from error
    kept = {name: environ[name] for name in _FOLDER_VARIABLES if name in environ}
    return UserDirs(home=home, platform=sys.platform, environ=kept)


Syntax = Literal["json", "jsonc", "toml"]
"""json allows no comments; jsonc allows comments and a trailing comma."""

Forwarding = Literal["reference", "list", "prompt", "inherited", "none"]
"""How a client passes a variable to a server if its value is not in the file.

reference: it expands a reference such as `${NAME}`. list: it takes a list of names. prompt: it asks its user, and also
expands references. inherited: it passes on its own environment. none: it passes nothing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One MCP client.

    Attributes:
        name: Its name on our command line.
        title: Its name for people.
        file: Returns the path of its settings file.
        key: The name of the file's table of servers.
        fields: Fields that an entry needs in addition to command, args and env.
        reference: The reference to a variable, with NAME for the variable's name; empty for none.
        refused_in_names: A character that it does not allow in an entry's name; empty for none.
        program: The command that starts it; empty if there is none.
        next_step: A sentence with the user's next step after the file is written.
    """

    name: str
    title: str
    file: Callable[[UserDirs], Path]
    syntax: Syntax = "jsonc"
    key: str = "mcpServers"
    fields: Mapping[str, str] = field(default_factory=dict)
    forwarding: Forwarding = "none"
    reference: str = ""
    refused_in_names: str = ""
    program: str = ""
    next_step: str

    @property
    def passes_variables(self) -> bool:
        """Whether an entry can name a variable that the client then passes on."""
        return self.forwarding in {"reference", "list", "prompt"}

    def is_on_machine(self, dirs: UserDirs) -> bool:
        """Return whether a user has this client: its file, a folder of its own, or its program."""
        file = self.file(dirs)
        if _exists(file) or (_exists(file.parent) and file.parent != dirs.home):
            return True
        return bool(self.program and shutil.which(self.program, path=dirs.environ.get("PATH", "")))


def _exists(path: Path) -> bool:
    """Return whether there is something at a path; False if this user may not know, as in another user's folder."""
    try:
        return path.exists()
    except OSError:
        return False


def _claude_desktop(dirs: UserDirs) -> Path:
    """Return the file that Claude Desktop reads; a packaged one on Windows only sees its own folder."""
    inside = Path("LocalCache", "Roaming", "Claude", "claude_desktop_config.json")
    if dirs.platform == "win32":
        local = dirs.folder("LOCALAPPDATA", dirs.home / "AppData" / "Local")
        packages = sorted((local / "Packages").glob("Claude_*"))
        files = [package / inside for package in packages if _exists(package)]
        if files:
            return next((file for file in files if _exists(file)), files[0])
    return dirs.application_settings / "Claude" / "claude_desktop_config.json"


def _zed(dirs: UserDirs) -> Path:
    if dirs.platform == "win32":
        return dirs.application_settings / "Zed" / "settings.json"
    return dirs.folder("XDG_CONFIG_HOME", dirs.home / ".config") / "zed" / "settings.json"


def _cline(dirs: UserDirs) -> Path:
    """Return the file in Cline's own folder, or the one of its VS Code extension if only that exists."""
    name = "cline_mcp_settings.json"
    own = dirs.home / ".cline" / "data" / "settings" / name
    storage = dirs.application_settings / "Code" / "User" / "globalStorage"
    earlier = storage / "saoudrizwan.claude-dev" / "settings" / name
    return earlier if _exists(earlier) and not _exists(own) else own


CLIENTS = (
    Client(
        name="claude-desktop",
        title="Claude Desktop",
        file=_claude_desktop,
        syntax="json",
        next_step="Quit Claude Desktop completely (closing its window is not enough), then start it again.",
    ),
    Client(
        name="claude-code",
        program="claude",
        title="Claude Code",
        file=lambda dirs: dirs.folder("CLAUDE_CONFIG_DIR", dirs.home) / ".claude.json",
        syntax="json",
        fields={"type": "stdio"},
        forwarding="reference",
        reference="${NAME}",
        next_step="Start a new Claude Code session; /mcp shows the server.",
    ),
    Client(
        name="cursor",
        program="cursor",
        title="Cursor",
        file=lambda dirs: dirs.home / ".cursor" / "mcp.json",
        forwarding="reference",
        reference="${env:NAME}",
        next_step="Turn the server on in Cursor's settings, under MCP.",
    ),
    Client(
        name="vscode",
        program="code",
        title="VS Code",
        file=lambda dirs: dirs.application_settings / "Code" / "User" / "mcp.json",
        key="servers",
        fields={"type": "stdio"},
        forwarding="prompt",
        reference="${env:NAME}",
        next_step="Run `MCP: List Servers` in VS Code's command palette and start the server there.",
    ),
    Client(
        name="windsurf",
        program="windsurf",
        title="Windsurf",
        file=lambda dirs: dirs.home / ".codeium" / "windsurf" / "mcp_config.json",
        forwarding="reference",
        reference="${env:NAME}",
        next_step="Refresh the list of MCP servers in Windsurf's Cascade panel.",
    ),
    Client(
        name="zed",
        program="zed",
        title="Zed",
        file=_zed,
        key="context_servers",
        forwarding="inherited",
        next_step="Zed starts the server right away; the settings of its agent panel show it.",
    ),
    Client(
        name="codex",
        program="codex",
        title="Codex",
        file=lambda dirs: dirs.folder("CODEX_HOME", dirs.home / ".codex") / "config.toml",
        syntax="toml",
        key="mcp_servers",
        forwarding="list",
        next_step="Start a new Codex session; /mcp shows the server.",
    ),
    Client(
        name="gemini-cli",
        program="gemini",
        title="Gemini CLI",
        file=lambda dirs: dirs.home / ".gemini" / "settings.json",
        forwarding="reference",
        reference="$NAME",
        refused_in_names="_",
        next_step="Start a new Gemini CLI session; /mcp shows the server.",
    ),
    Client(
        name="cline",
        title="Cline",
        file=_cline,
        syntax="json",
        next_step="Cline starts the server right away; its list of MCP servers shows it.",
    ),
)


def client_named(name: str) -> Client:
    """Return the client with this name on our command line; case and surrounding spaces are ignored."""
    known = {client.name: client for client in CLIENTS}
    if client := known.get(name.strip().lower()):
        return client
    near = closest_names(name.lower(), known)
    other = "docs/attach.md shows how to add any other client by hand."
    raise InvalidArgumentsError(
        f"Unknown client {literal(name)}; the known clients are {', '.join(known)}.",
        hint=f"Did you mean {' or '.join(near)}?" if near else other,
    )
