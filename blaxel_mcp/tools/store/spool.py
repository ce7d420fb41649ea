"""A private folder on disk for answers that do not fit in memory, removed with its process.

Every method blocks: call them in a thread.
"""

import itertools
import logging
import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from blaxel_mcp.core.private_files import make_own_folder, require_safe_folder, user_folder, write_private

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

_PREFIX = "spool-"
_LOCK_SUFFIX = ".lock"
_PRIVATE_FILE = 0o600


def default_spools() -> Path:
    """Return the folder that holds the spools of all processes, in the user's cache directory."""
    return user_folder("cache") / "calls"


class Spool:
    """The folder of one process, created with the first file.

    A lock file beside it shows other processes that it is in use; the system releases the lock when the process ends.
    A process id would be reused, and means nothing in another container.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock: int | None = None
        self._has_failed = False
        self._numbers = itertools.count(1)

    def write(self, data: bytes, name: str = "") -> Path:
        """Write a file that only this user can read, and return its path.

        Raises:
            OSError: The file could not be written. Nothing is left of it.
        """
        try:
            if self._lock is None:
                make_own_folder(self._parent)
                # Lock before the folder exists, so that no process ever sees it unlocked.
                self._lock = _acquire_lock(_lock_path(self._folder))
            make_own_folder(self._folder)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("answers that do not fit in memory are not kept: %s", error.strerror or error)
            raise
        path = self._folder / f"{next(self._numbers)}-{name or 'answer'}"
        write_private(path, data)
        return path

    def remove_abandoned(self) -> None:
        """Remove the folders of processes that ended without closing theirs."""
        with suppress(OSError):
            require_safe_folder(self._parent)
            for folder in self._parent.glob(f"{_PREFIX}*"):
                if folder.is_symlink() or not folder.is_dir():
                    continue
                try:
                    descriptor = _acquire_lock(_lock_path(folder))
                except OSError:
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)
                with suppress(OSError):
                    _lock_path(folder).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder with everything in it."""
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None
            _lock_path(self._folder).unlink(missing_ok=True)


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK_SUFFIX)


def _acquire_lock(path: Path) -> int:
    """Lock a file until the returned descriptor is closed; OSError if another process holds the lock."""
    if sys.platform == "win32":
        # Windows cannot delete an open file, so a lock file that can be deleted is not held.
        path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
