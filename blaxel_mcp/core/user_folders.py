"""The folders in which a user's programs keep their files."""

import os
from pathlib import Path
from typing import Literal

import platformdirs


def user_folder(kind: Literal["cache", "config", "state"]) -> Path:
    """Return this program's folder of a kind.

    Without a home directory, as for a container's user who has neither HOME nor an entry in the password file, it is a
    path at which there can be no folder: reading it finds nothing, and writing it fails as in any other place that
    cannot be written.
    """
    folders = {
        "cache": platformdirs.user_cache_path,
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
    }
    try:
        folder = folders[kind]("blaxel-mcp", appauthor=False)
    except RuntimeError:
        folder = Path()
    return folder if folder.is_absolute() else Path(os.devnull, "blaxel-mcp")
