"""The command that a client should start, before it is written in the client's format."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    "BLAXEL_MCP_HTTP__BEARER_TOKENS",
)
"""The environment variables whose values are secret."""

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
