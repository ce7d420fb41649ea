"""What a client has to start, before it takes the client's own shape."""

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
"""The variables that may hold credentials; the server reads all of them."""

_SCRIPT = "blaxel-mcp"
# Our script or our module, with a path before it or, as uvx takes them, a version behind it.
_OURS = re.compile(r"(?:.*[/\\])?blaxel[-_]mcp(?:\.exe|\.cmd)?(?:[@=<>~!\[].*)?", re.IGNORECASE | re.DOTALL)
# Where `uvx` keeps environments that it throws away when it likes.
_EPHEMERAL_FOLDERS = {"archive-v0", "environments-v2", "builds-v0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The command of the server, and what its environment has to hold.

    Attributes:
        command: The program's absolute path and its arguments.
        plain: Variables that are no secret, with their values.
        secret: Variables that are one, with their values; only where the user asked for it.
        forwarded: Names of variables that this shell has and whose values are not to be in a file.
        missing: Names of variables that nothing gives so far, and that are worth asking for.
        has_credentials: Whether the server will have its credentials if all of this reaches it, so that any others in
            an entry are outdated.
    """

    command: tuple[str, ...]
    plain: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    forwarded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    has_credentials: bool = False


def own_command(executable: Path) -> tuple[str, ...]:
    """The words that start this program from any folder: its script beside the interpreter, else the module.

    Args:
        executable: The interpreter, not resolved: in a virtual environment it is a link, and the script is beside it.
    """
    for name in (_SCRIPT, f"{_SCRIPT}.exe"):
        script = executable.absolute().with_name(name)
        if script.is_file():
            return (str(script),)
    return (str(executable.absolute()), "-m", "blaxel_mcp")


def is_ephemeral(command: Sequence[str]) -> bool:
    """Whether a command lies in a cache of uv's, from which it may vanish."""
    return any(part in _EPHEMERAL_FOLDERS for part in Path(command[0]).parts)


def runs_this_server(command: Sequence[str]) -> bool:
    """Whether a command of a client's settings starts this server: it names our script, package or module."""
    return any(_OURS.fullmatch(word) for word in command)
