"""A user's folders on a machine, as a value, so that every platform can be tested on any."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError

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
    """Return the folders of the user who runs this process; of the variables, only those that name folders are kept.

    Raises:
        ConfigurationError: The user has no home directory.
    """
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            "This user has no home directory, where MCP clients keep their settings.",
            hint="Set HOME, such as `export HOME=/home/you`.",
        ) from error
    kept = {name: environ[name] for name in _FOLDER_VARIABLES if name in environ}
    return UserDirs(home=home, platform=sys.platform, environ=kept)
