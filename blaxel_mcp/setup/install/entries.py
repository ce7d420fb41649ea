"""This server's entry in a client's settings: the command, and writing, merging and reading the entry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blaxel_mcp.setup.install.clients import Client

CREDENTIAL_VARIABLES = (
    "BL_API_KEY",
    "BL_CLIENT_CREDENTIALS",
    "BLAXEL_MCP_API_KEY",
    "BLAXEL_MCP_CLIENT_CREDENTIALS",
    "BLAXEL_MCP_API_KEY_COMMAND",
)
"""The environment variables from which the server reads credentials."""

SECRET_VARIABLES = (
    *(name for name in CREDENTIAL_VARIABLES if not name.endswith("_COMMAND")),
    *(f"BLAXEL_MCP_{name}" for name in ("HTTP", "HTTP__BEARER_TOKENS", "SHARED", "SHARED__KEY", "SHARED__URL")),
    "BLAXEL_MCP_WORKSPACES",
)
"""The environment variables whose values are secret, or JSON with a secret in it."""

_SCRIPT = "blaxel-mcp"
# The script or the module, with an optional path before it or, as uvx accepts, a version after it.
_OURS = re.compile(r"(?:.*[/\\])?blaxel[-_]mcp(?:\.exe|\.cmd)?(?:[@=<>~!\[].*)?", re.IGNORECASE | re.DOTALL)
# Folders of uv's cache, in which `uvx` keeps environments that uv may delete at any time.
_EPHEMERAL_FOLDERS = {"archive-v0", "environments-v2", "builds-v0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The server's command and the environment variables that it needs.

    Attributes:
        command: The program's absolute path and its arguments.
        plain: Variables that are not secret, with their values.
        secret: Secret variables with their values; empty unless the user asked to write them.
        forwarded: Names of variables that this shell sets and whose values must not be written to a file.
        missing: Names of variables that nothing sets yet and that the client should ask for.
        has_credentials: Whether the server has credentials if all of this reaches it. Any others in an entry are
            then outdated.
        workspace: The workspace of the settings; None if there is none.
    """

    command: tuple[str, ...]
    plain: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    forwarded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    has_credentials: bool = False
    workspace: str | None = None


def own_command(executable: Path) -> tuple[str, ...]:
    """Return the words that start this program from any folder: the script beside the interpreter, else the module.

    Neither imports anything from the folder that a client starts it in, which may be an untrusted project. The
    interpreter is not resolved: in a virtual environment it is a link with the script beside it.
    """
    for name in (_SCRIPT, f"{_SCRIPT}.exe"):
        script = executable.absolute().with_name(name)
        if script.is_file():
            return (str(script),)
    return (str(executable.absolute()), "-P", "-m", "blaxel_mcp")


def is_ephemeral(command: Sequence[str]) -> bool:
    """Return whether a command's program lies in the cache of `uvx` or `pipx run`, which may delete it."""
    parts = Path(command[0]).parts
    is_pipx_cache = "pipx" in parts and any(part.lower() in {".cache", "cache", "caches"} for part in parts)
    return is_pipx_cache or any(part in _EPHEMERAL_FOLDERS for part in parts)


def runs_this_server(command: Sequence[str]) -> bool:
    """Return whether a command names this project's script, package or module."""
    return any(_OURS.fullmatch(word) for word in command)


# Fields of an entry for a remote server, or of an entry in another format.
_OTHER_FORMS = ("transport", "url", "serverUrl", "httpUrl", "headers")
_KEY, _CREDENTIALS = ("api-key", "Blaxel API key", True), ("client-credentials", "Blaxel client credentials", True)
_PROMPTS = {
    "BL_API_KEY": _KEY,
    "BLAXEL_MCP_API_KEY": _KEY,
    "BL_CLIENT_CREDENTIALS": _CREDENTIALS,
    "BLAXEL_MCP_CLIENT_CREDENTIALS": _CREDENTIALS,
    "BL_WORKSPACE": ("workspace", "Blaxel workspace", False),
}
"""Each variable that VS Code asks its user for: the suffix of the input's id, its description, whether it is secret."""


def merge_entry(current: Mapping[str, Any], client: Client, launch: Launch, name: str) -> dict[str, Any]:
    """Return the entry for a command, merged with an existing entry: fields that its user added stay.

    Credentials in the existing entry are removed if the server now has others; otherwise they stay.
    """
    entry = {key: value for key, value in current.items() if key not in _OTHER_FORMS}
    entry.update(client.fields)
    entry.update(command=launch.command[0], args=list(launch.command[1:]))
    variables = _entry_variables(_table(current.get("env")), client, launch, name)
    listed = _forwarded_names(current, client, launch)
    for key, value in (("env", variables), ("env_vars", listed)):
        if value:
            entry[key] = value
        elif current.get(key):
            del entry[key]
    return entry


def _entry_variables(current: Mapping[str, Any], client: Client, launch: Launch, name: str) -> dict[str, Any]:
    fresh = {**launch.plain, **launch.secret}
    if client.reference:
        fresh.update({key: _reference(client, key, name) for key in launch.forwarded})
    outdated = _outdated_variables(client, launch)
    kept = {
        key: value
        for key, value in current.items()
        if key in fresh or not (key in outdated or _leads_nowhere(key, value, client, launch))
    }
    asked = [key for key in launch.missing if client.reference and _is_missing(key, kept)]
    return {**kept, **fresh, **{key: _reference(client, key, name) for key in asked}}


def _leads_nowhere(variable: str, value: Any, client: Client, launch: Launch) -> bool:
    """Return whether a variable of this server is a reference that the client does not expand or nothing needs."""
    is_reference = variable.startswith(("BL_", "BLAXEL_MCP_")) and isinstance(value, str) and value.startswith("$")
    is_needed = variable != "BL_WORKSPACE" or variable in launch.missing
    return is_reference and not (client.reference and is_needed)


def _forwarded_names(current: Mapping[str, Any], client: Client, launch: Launch) -> list[Any]:
    """Return the names of the variables to pass on, for a client that takes a list of them."""
    env_vars = current.get("env_vars")
    before = list(env_vars) if isinstance(env_vars, list) else []
    if client.forwarding != "list":
        return before
    kept = [name for name in before if name in launch.forwarded or name not in _outdated_variables(client, launch)]
    names = [*launch.forwarded, *(key for key in launch.missing if _is_missing(key, _table(current.get("env"))))]
    return [*kept, *(name for name in names if name not in kept)]


def _outdated_variables(client: Client, launch: Launch) -> tuple[str, ...]:
    """Return the variables to remove from an entry: credentials, if the server now has others."""
    reaches = not launch.forwarded or client.passes_variables
    return CREDENTIAL_VARIABLES if launch.has_credentials and reaches else ()


def _is_missing(variable: str, current: Mapping[str, Any]) -> bool:
    """Return whether an entry sets neither a variable nor one that has the same purpose."""
    same = CREDENTIAL_VARIABLES if variable in CREDENTIAL_VARIABLES else (variable,)
    return not any(name in current for name in same)


def _reference(client: Client, variable: str, name: str) -> str:
    if client.forwarding == "prompt" and variable in _PROMPTS:
        return f"${{input:{_input_id(variable, name)}}}"
    return client.reference.replace("NAME", variable)


def _input_id(variable: str, name: str) -> str:
    return f"{name}-{_PROMPTS[variable][0]}"


def inputs_of(entry: Any, client: Client, name: str) -> list[dict[str, Any]]:
    """Return the definitions of our inputs that an entry refers to; empty unless the client prompts its user."""
    if client.forwarding != "prompt":
        return []
    values = _table(_table(entry).get("env")).values()
    # By id, since two variables of one purpose share an input.
    used = {_input_id(key, name): prompt for key, prompt in _PROMPTS.items() if _reference(client, key, name) in values}
    return [
        {"type": "promptString", "id": input_id, "description": description, "password": secret}
        for input_id, (_, description, secret) in used.items()
    ]


def command_of(entry: Any) -> tuple[str, ...]:
    """Return the program and arguments of an entry in any format that a client has used; empty if it has none."""
    outer = _table(entry)
    inner = _table(outer.get("transport")) or outer
    nested = _table(inner.get("command"))
    program = nested.get("path") if nested else inner.get("command")
    args = (nested or inner).get("args")
    arguments = args if isinstance(args, list) else []
    return (program, *map(str, arguments)) if isinstance(program, str) and program else ()


def environment_of(entry: Any) -> dict[str, str]:
    """Return the variables that an entry sets."""
    outer = _table(entry)
    forms = (outer, _table(outer.get("transport")), _table(outer.get("command")))
    return {key: str(value) for form in forms for key, value in _table(form.get("env")).items()}


def secrets_in(entry: Any) -> dict[str, str]:
    """Return the secrets that an entry spells out, by the names of their variables; references are none."""
    variables = environment_of(entry).items()
    return {
        name: value for name, value in variables if name in SECRET_VARIABLES and value and not value.startswith("$")
    }


def without_secrets(entry: Any) -> Any:
    """Return an entry, or a part of one, without the variables whose values are secrets."""
    if not isinstance(entry, dict):
        return entry
    secret = secrets_in({"env": entry})
    return {name: without_secrets(value) for name, value in entry.items() if name not in secret}


def forwarded_by(entry: Any) -> tuple[str, ...]:
    """Return the names of the variables in an entry's list of variables to pass on."""
    names = _table(entry).get("env_vars")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
