"""A private folder on disk for what does not fit in memory, gone when its process is.

Everything here blocks; it is called in a thread.
"""

import itertools
import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import platformdirs

from blaxel_mcp.core.private_files import make_folder, make_own_folder, write_private

if sys.platform != "win32":
    import fcntl

_PREFIX = "spool-"
_LOCK_SUFFIX = ".lock"
_PRIVATE_FILE = 0o600


def default_spools() -> Path:
    """The folder in which each process has its spool: in the user's cache directory."""
    return platformdirs.user_cache_path("blaxel-mcp", appauthor=False) / "calls"


class Spool:
    """One process's folder. It is made when the first file is written.

    A lock beside the folder, which the system lets go of with the process, tells others that
    it is in use: a process id would be reused, and means nothing in another container.

    Args:
        parent: Where the folder is made.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock: int | None = None
        self._numbers = itertools.count(1)

    def write(self, data: bytes, name: str = "") -> Path:
        """Write a file that only this user can read, and return its path.

        Raises:
            OSError: the disk refused it. What was written of it is gone.
        """
        path = self.open() / f"{next(self._numbers)}-{name or 'answer'}"
        write_private(path, data)
        return path

    def remove_abandoned(self) -> None:
        """Remove the folders of processes that ended without closing theirs."""
        with suppress(OSError):
            for folder in self._parent.glob(f"{_PREFIX}*"):
                if folder.is_symlink() or not folder.is_dir():
                    continue
                try:
                    descriptor = _take_lock(_lock_of(folder))
                except OSError:
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)
                with suppress(OSError):
                    _lock_of(folder).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder with everything in it."""
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None
            _lock_of(self._folder).unlink(missing_ok=True)

    def open(self) -> Path:
        """Make the folder, unless it is there, and return its path.

        Raises:
            OSError: the disk refused it.
        """
        if self._lock is None:
            make_own_folder(self._parent)
            # The lock comes first, so that a folder that can be seen is a folder that is locked.
            self._lock = _take_lock(_lock_of(self._folder))
        make_folder(self._folder)
        return self._folder


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK_SUFFIX)


def _take_lock(path: Path) -> int:
    """Hold a lock file until the descriptor is closed.

    Raises:
        OSError: another process holds it.
    """
    if sys.platform == "win32":
        # An open file cannot be removed there, so one that can is nobody's.
        path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
