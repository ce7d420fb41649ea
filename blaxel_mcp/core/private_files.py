"""Folders for this user alone, whatever the process's umask."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for this user alone; one that is there stays as it is.

    `Path.mkdir` gives its mode to the last folder only: under a umask of 0 everybody could write into the others.

    Raises:
        OSError: the disk refused it.
    """
    if not folder.exists():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def make_own_folder(folder: Path) -> None:
    """Do the same for a folder that is this program's own: one that others can reach is closed to them.

    Raises:
        OSError: the disk refused it.
    """
    make_folder(folder)
    _close_to_others(folder, _PRIVATE_FOLDER)


def make_own_file(path: Path) -> None:
    """Make an empty file for this user alone, unless it is there: then it is closed to others.

    Raises:
        OSError: the disk refused it.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE))
    _close_to_others(path, _PRIVATE_FILE)


def _close_to_others(path: Path, mode: int) -> None:
    # One of somebody else's is not ours to close; whether it can be used will show.
    with suppress(PermissionError):
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            path.chmod(mode)
