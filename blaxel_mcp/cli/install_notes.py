"""The notes of `blaxel-mcp install`: where the key comes from, and what else changed or needs attention."""

import shlex
from collections.abc import Iterator, Mapping

from blaxel_mcp.settings.environment import BLAXEL_ENVIRONMENT, FILE_VARIABLE, PREFIX
from blaxel_mcp.setup.install.change import DEFAULT_NAME, EARLIER_NAME, Change, own_names, redact_backups
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.launch import CREDENTIAL_VARIABLES, Launch, is_ephemeral

PLATFORM_VARIABLES = (
    BLAXEL_ENVIRONMENT,
    *("BL_API_URL", "BL_RUN_URL", "BL_API_VERSION"),
    *("BLAXEL_MCP_API_URL", "BLAXEL_MCP_RUN_URL", "BLAXEL_MCP_API_VERSION"),
)
"""The variables that select the platform: no secrets, and without them the key would be sent to another one."""


def name_notes(client: Client, name: str, *, is_present: bool) -> Iterator[str]:
    """Yield notes on an entry's name, and on a client that is not on this machine."""
    if not is_present:
        yield f"{client.title} was not found on this machine; it will read the entry once it is installed."
    if name == EARLIER_NAME:
        yield (
            f"the entry keeps its name {name}, which Blaxel uses for its own hosted server. To rename it, add "
            f"{DEFAULT_NAME} with `--name {DEFAULT_NAME}`, then remove {name} with `--name {name} --remove`."
        )


def entry_left_notes(client: Client, change: Change, name: str) -> Iterator[str]:
    """Yield notes on the other entries of a client's file that run this server."""
    for other in own_names(client, change.file):
        if other != name:
            yield (
                f"this server is also there as {other}; "
                f"`blaxel-mcp install {client.name} --name {shlex.quote(other)} --remove` removes that entry."
            )


def file_notes(client: Client, change: Change, *, was_open: bool = False) -> Iterator[str]:
    """Yield notes on other changes to the file and its backups, after removing secrets from the backups."""
    if was_open and change.is_private:
        yield f"other users of this machine could read {change.file}; now only you can."
    names = " and ".join(change.dropped)
    if names and change.before != change.backup:
        yield f"{names} of the earlier entry is not in the backup either."
    for copy, done in redact_backups(client, change.file).items():
        yield f"an earlier backup had credentials in it: {copy} {done}."
    if (change.before or "").startswith("\ufeff") and not change.after.startswith("\ufeff"):
        yield "the file began with a byte order mark, which JSON does not allow; it was removed."


def credential_notes(client: Client, launch: Launch) -> Iterator[str]:
    """Yield notes on how the server gets credentials that are not in the entry."""
    missing = launch.forwarded or launch.missing
    if not missing:
        return
    names = " and ".join(missing)
    login = f"bl login {launch.workspace or 'WORKSPACE'}"
    permanent = f"run `{login}`, or put api_key or api_key_command into the settings file"
    if client.forwarding == "prompt":
        yield f"{client.title} asks for {names} when it starts the server, and stores the answer."
    elif client.forwarding != "none":
        yield f"start {client.title} with {names} set in its environment; or {permanent}."
    elif launch.forwarded:
        yield f"{client.title} does not see {names} of this shell: {permanent}, or run this again with --with-key."
    else:
        is_not = "is not" if len(missing) == 1 else "are not"
        yield f"{names} {is_not} set: {permanent}, or export BL_API_KEY and run this again with --with-key."


def entry_notes(launch: Launch, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield notes on the entry: secrets in it, variables that are not in it, a command that may vanish."""
    if launch.secret:
        yield f"the entry holds {' and '.join(launch.secret)} in clear text."
    known = {*CREDENTIAL_VARIABLES, *PLATFORM_VARIABLES, FILE_VARIABLE, f"{PREFIX}WORKSPACE"}
    if omitted := sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        yield f"not in the entry, although set in this shell: {', '.join(omitted)}. Use the settings file for them."
    if is_ephemeral(launch.command):
        yield (
            "this copy of blaxel-mcp is in a cache and may vanish; "
            "`uv tool install` or `pipx install` makes it permanent."
        )
