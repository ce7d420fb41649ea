"""The entry of this server in a client's settings: as it is made anew, and joined with one that is there."""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.launch import CREDENTIAL_VARIABLES, Launch, runs_this_server

# What stands in an entry for a server that is reached in another way, or that is written in another form.
_OTHER_FORMS = ("transport", "url", "serverUrl", "httpUrl", "headers")
_KEY, _CREDENTIALS = ("api-key", "Blaxel API key", True), ("client-credentials", "Blaxel client credentials", True)
_PROMPTS = {
    "BL_API_KEY": _KEY,
    "BLAXEL_MCP_API_KEY": _KEY,
    "BL_CLIENT_CREDENTIALS": _CREDENTIALS,
    "BLAXEL_MCP_CLIENT_CREDENTIALS": _CREDENTIALS,
    "BL_WORKSPACE": ("workspace", "Blaxel workspace", False),
}
"""What a client asks its user for: the input's name after the entry's, its description, whether it is secret."""


def merge_entry(current: Mapping[str, Any], client: Client, launch: Launch, name: str) -> dict[str, Any]:
    """An entry that is there, brought up to date: what its user has added to it stays.

    Credentials in it are taken out if the server has others now, and stay if it would be left with none.

    Args:
        current: The entry that is there; empty for none.
        client: The client.
        launch: What it has to start.
        name: The entry's name.
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
    kept = {
        key: value for key, value in current.items() if key in fresh or key not in _outdated_variables(client, launch)
    }
    asked = [key for key in launch.missing if client.reference and _is_missing(key, kept)]
    return {**kept, **fresh, **{key: _reference(client, key, name) for key in asked}}


def _forwarded_names(current: Mapping[str, Any], client: Client, launch: Launch) -> list[Any]:
    """The names that a client is to hand on, for one that takes a list of them."""
    found = current.get("env_vars")
    before = list(found) if isinstance(found, list) else []
    if client.forwarding != "list":
        return before
    kept = [name for name in before if name in launch.forwarded or name not in _outdated_variables(client, launch)]
    names = [*launch.forwarded, *(key for key in launch.missing if _is_missing(key, _table(current.get("env"))))]
    return [*kept, *(name for name in names if name not in kept)]


def _outdated_variables(client: Client, launch: Launch) -> tuple[str, ...]:
    """The variables that an entry is to have no more: other credentials than those that the server has now."""
    reaches = not launch.forwarded or client.forwarding in {"reference", "list", "prompt"}
    return CREDENTIAL_VARIABLES if launch.has_credentials and reaches else ()


def _is_missing(variable: str, current: Mapping[str, Any]) -> bool:
    """Whether an entry has nothing in a variable's place."""
    same = CREDENTIAL_VARIABLES if variable in CREDENTIAL_VARIABLES else (variable,)
    return not any(name in current for name in same)


def _reference(client: Client, variable: str, name: str) -> str:
    if client.forwarding == "prompt" and variable in _PROMPTS:
        return f"${{input:{_input_name(variable, name)}}}"
    return client.reference.replace("NAME", variable)


def _input_name(variable: str, name: str) -> str:
    return f"{name}-{_PROMPTS[variable][0]}"


def inputs_of(entry: Any, client: Client, name: str) -> list[dict[str, Any]]:
    """The inputs of ours that an entry refers to, as a client that prompts its user has them."""
    if client.forwarding != "prompt":
        return []
    values = _table(_table(entry).get("env")).values()
    inputs = {}
    for variable, (_, description, secret) in _PROMPTS.items():
        if _reference(client, variable, name) in values:
            named = _input_name(variable, name)
            inputs[named] = {"type": "promptString", "id": named, "description": description, "password": secret}
    return list(inputs.values())


def command_of(entry: Any) -> tuple[str, ...]:
    """The command of an entry in any of the forms that clients have had; empty where there is none."""
    outer = _table(entry)
    inner = _table(outer.get("transport")) or outer
    nested = _table(inner.get("command"))
    program = nested.get("path") if nested else inner.get("command")
    words = (nested or inner).get("args")
    rest = words if isinstance(words, list) else []
    return (program, *map(str, rest)) if isinstance(program, str) and program else ()


def environment_of(entry: Any) -> dict[str, str]:
    """The variables that an entry sets."""
    outer = _table(entry)
    forms = (outer, _table(outer.get("transport")), _table(outer.get("command")))
    return {key: str(value) for form in forms for key, value in _table(form.get("env")).items()}


def forwarded_by(entry: Any) -> tuple[str, ...]:
    """The names of the variables that an entry has the client hand on, for one that takes a list of them."""
    names = _table(entry).get("env_vars")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def check_ownership(entry: Any, client: Client, name: str, file: object) -> None:
    """Let an entry be that is somebody else's.

    Raises:
        ConfigurationError: The entry is there and does not run this server.
    """
    if entry is not None and not runs_this_server(command_of(entry)):
        raise ConfigurationError(
            f"{client.key} in {file} has an entry {name} already, and that one does not run blaxel-mcp.",
            hint="Choose another name with --name, or take that entry out by hand.",
        )


def _table(value: Any) -> Mapping[str, Any]:
    """The value if it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}
