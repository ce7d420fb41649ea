"""Where a machine keeps its users' settings: as a value, so that each platform can be asked about on any."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from blaxel_mcp.core.exceptions import ConfigurationError

_FOLDER_VARIABLES = ("APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR")
"""The variables that say where clients keep their files; nothing else of the environment is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDirs:
    """A user's folders on a machine.

    Attributes:
        home: The home directory.
        platform: As `sys.platform` has it: "darwin", "win32", or anything else for Linux and its like.
        environ: The variables that name folders: APPDATA, LOCALAPPDATA, XDG_CONFIG_HOME, CODEX_HOME and
            CLAUDE_CONFIG_DIR. One that is absent or empty means the platform's own default.
    """

    home: Path
    platform: str
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def folder(self, variable: str, default: Path) -> Path:
        """The folder that a variable names, else the default; a relative one counts as none, as XDG has it."""
        value = self.environ.get(variable, "").strip()
        return Path(value) if value and (Path(value).is_absolute() or self.platform == "win32") else default

    @property
    def application_settings(self) -> Path:
        """The folder in which desktop applications keep a folder each."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.folder("APPDATA", self.home / "AppData" / "Roaming")
        return self.folder("XDG_CONFIG_HOME", self.home / ".config")

    @property
    def local_application_data(self) -> Path:
        """The folder on Windows in which packaged applications keep theirs."""
        return self.folder("LOCALAPPDATA", self.home / "AppData" / "Local")


def user_dirs(environ: Mapping[str, str]) -> UserDirs:
    """The folders of whoever runs this process.

    Args:
        environ: The process's environment; what names no folder is not kept.

    Raises:
        ConfigurationError: The user has no home directory.
    """
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            "This user has no home directory, where clients keep their settings.", hint="Set HOME."
        ) from error
    kept = {name: environ[name] for name in _FOLDER_VARIABLES if name in environ}
    return UserDirs(home=home, platform=sys.platform, environ=MappingProxyType(kept))
