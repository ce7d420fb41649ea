"""The clients that are known, a row each: which file, where in it, in which shape, and how it hands on variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.suggestions import closest_names
from blaxel_mcp.setup.install.folders import UserDirs

Syntax = Literal["json", "jsonc", "toml"]
"""json takes no comments; jsonc takes comments and a comma after the last."""

Forwarding = Literal["reference", "list", "prompt", "inherited", "none"]
"""How a client gives a server a variable whose value is not in the file.

reference: it expands a reference such as `${NAME}`. list: it takes a list of names. prompt: it asks its user, and
expands references besides. inherited: it hands on the environment that it was started with. none: not at all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One MCP client.

    Attributes:
        name: Its name on our command line.
        title: Its name for people.
        file: Where it keeps its users' settings.
        syntax: What the file is written in.
        key: The name of the file's table of servers.
        fields: What an entry has beside command, args and env.
        forwarding: How it hands on a variable.
        reference: The reference to a variable, with NAME in the name's place; empty for none.
        refused_in_names: Characters that it refuses in an entry's name; empty for none.
        next_step: What its user does once the file is written.
    """

    name: str
    title: str
    file: Callable[[UserDirs], Path]
    syntax: Syntax
    key: str = "mcpServers"
    fields: Mapping[str, str] = field(default_factory=dict)
    forwarding: Forwarding
    reference: str = ""
    refused_in_names: str = ""
    next_step: str


def _claude_desktop(dirs: UserDirs) -> Path:
    """The file that Claude Desktop reads; as a Windows package it sees a folder of its own, and that one alone."""
    inside = Path("LocalCache", "Roaming", "Claude", "claude_desktop_config.json")
    if dirs.platform == "win32":
        packages = sorted((dirs.local_application_data / "Packages").glob("Claude_*"))
        files = [package / inside for package in packages if package.is_dir()]
        if files:
            return next((file for file in files if file.exists()), files[0])
    return dirs.application_settings / "Claude" / "claude_desktop_config.json"


def _zed(dirs: UserDirs) -> Path:
    if dirs.platform == "win32":
        return dirs.application_settings / "Zed" / "settings.json"
    return dirs.folder("XDG_CONFIG_HOME", dirs.home / ".config") / "zed" / "settings.json"


def _cline(dirs: UserDirs) -> Path:
    """Cline's own folder, unless only the one is there that it had as a VS Code extension."""
    name = "cline_mcp_settings.json"
    own = dirs.home / ".cline" / "data" / "settings" / name
    storage = dirs.application_settings / "Code" / "User" / "globalStorage"
    earlier = storage / "saoudrizwan.claude-dev" / "settings" / name
    return earlier if earlier.exists() and not own.exists() else own


CLIENTS = (
    Client(
        name="claude-desktop",
        title="Claude Desktop",
        file=_claude_desktop,
        syntax="json",
        forwarding="none",
        next_step="Quit Claude Desktop altogether and start it again.",
    ),
    Client(
        name="claude-code",
        title="Claude Code",
        file=lambda dirs: dirs.folder("CLAUDE_CONFIG_DIR", dirs.home) / ".claude.json",
        syntax="json",
        fields={"type": "stdio"},
        forwarding="reference",
        reference="${NAME}",
        next_step="Start a new session of Claude Code; /mcp shows the server.",
    ),
    Client(
        name="cursor",
        title="Cursor",
        file=lambda dirs: dirs.home / ".cursor" / "mcp.json",
        syntax="jsonc",
        forwarding="reference",
        reference="${env:NAME}",
        next_step="Switch the server on in Cursor's settings, under MCP.",
    ),
    Client(
        name="vscode",
        title="VS Code",
        file=lambda dirs: dirs.application_settings / "Code" / "User" / "mcp.json",
        syntax="jsonc",
        key="servers",
        fields={"type": "stdio"},
        forwarding="prompt",
        reference="${env:NAME}",
        next_step="Run `MCP: List Servers` in VS Code's command palette and start the server there.",
    ),
    Client(
        name="windsurf",
        title="Windsurf",
        file=lambda dirs: dirs.home / ".codeium" / "windsurf" / "mcp_config.json",
        syntax="jsonc",
        forwarding="reference",
        reference="${env:NAME}",
        next_step="Refresh the list of MCP servers in Windsurf's Cascade.",
    ),
    Client(
        name="zed",
        title="Zed",
        file=_zed,
        syntax="jsonc",
        key="context_servers",
        forwarding="inherited",
        next_step="Zed starts the server at once; its agent panel's settings show it.",
    ),
    Client(
        name="codex",
        title="Codex",
        file=lambda dirs: dirs.folder("CODEX_HOME", dirs.home / ".codex") / "config.toml",
        syntax="toml",
        key="mcp_servers",
        forwarding="list",
        next_step="Start a new session of Codex; /mcp shows the server.",
    ),
    Client(
        name="gemini-cli",
        title="Gemini CLI",
        file=lambda dirs: dirs.home / ".gemini" / "settings.json",
        syntax="jsonc",
        forwarding="reference",
        reference="$NAME",
        refused_in_names="_",
        next_step="Start a new session of Gemini CLI; /mcp shows the server.",
    ),
    Client(
        name="cline",
        title="Cline",
        file=_cline,
        syntax="json",
        forwarding="none",
        next_step="Cline starts the server at once; its list of MCP servers shows it.",
    ),
)
"""Every client that is known."""


def client_named(name: str) -> Client:
    """The client of this name on our command line.

    Raises:
        InvalidArgumentsError: None has it; the message has those that come near, and all that are known.
    """
    for client in CLIENTS:
        if client.name == name.strip().lower():
            return client
    known = [client.name for client in CLIENTS]
    near = closest_names(name.lower(), known)
    raise InvalidArgumentsError(
        f"There is no client {name!r} among those that are known: {', '.join(known)}.",
        hint=f"Did you mean {' or '.join(near)}?" if near else "docs/attach.md says how to add any other by hand.",
    )
