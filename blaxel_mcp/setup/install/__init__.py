"""This server's entry in the files of MCP clients: its place, its format, and edits of it."""

from blaxel_mcp.setup.install.change import (
    DEFAULT_NAME,
    EARLIER_NAME,
    Change,
    addition,
    own_names,
    preview,
    redact_backups,
    removal,
    usual_name,
)
from blaxel_mcp.setup.install.clients import CLIENTS, Client, client_named
from blaxel_mcp.setup.install.file import edit_lock, is_open_to_others
from blaxel_mcp.setup.install.folders import UserDirs, user_dirs
from blaxel_mcp.setup.install.installed import ClientState, InstalledEntry, client_states
from blaxel_mcp.setup.install.launch import CREDENTIAL_VARIABLES, Launch, is_ephemeral, own_command
from blaxel_mcp.setup.install.toml_edit import toml_value

__all__ = [
    "CLIENTS",
    "CREDENTIAL_VARIABLES",
    "DEFAULT_NAME",
    "EARLIER_NAME",
    "Change",
    "Client",
    "ClientState",
    "InstalledEntry",
    "Launch",
    "UserDirs",
    "addition",
    "client_named",
    "client_states",
    "edit_lock",
    "is_ephemeral",
    "is_open_to_others",
    "own_command",
    "own_names",
    "preview",
    "redact_backups",
    "removal",
    "toml_value",
    "user_dirs",
    "usual_name",
]
