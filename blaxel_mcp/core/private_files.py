"""Files and folders that only this user can read, whatever the umask, and replacements that are all or nothing."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_MAX_BACKUPS = 1000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each with mode 0700; a folder that exists keeps its mode.

    `Path.mkdir(parents=True)` applies its mode to the last folder only: under a umask of 0, everybody could write
    into the others.

    Raises:
        OSError: The folder cannot be made.
    """
    if not folder.exists():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def make_own_folder(folder: Path) -> None:
    """Make a folder that only this program uses, with mode 0700 even if it exists and others can reach it.

    Raises:
        OSError: The folder cannot be made.
    """
    make_folder(folder)
    _close_to_others(folder, _PRIVATE_FOLDER)


def make_own_file(path: Path) -> None:
    """Make an empty file with mode 0600; a file that exists keeps its content and is closed to others.

    Raises:
        OSError: The file cannot be made.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE))
    _close_to_others(path, _PRIVATE_FILE)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600, never over an existing file and never through a link.

    Raises:
        FileExistsError: The path exists.
        OSError: The file cannot be written; nothing of it is left.
    """
    descriptor = _create(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes, *, like: os.stat_result | None = None, overwrite: bool = True) -> None:
    """Write a file so that it has its old or its new content at any moment, a power cut included.

    Args:
        path: The file. A link at this path is itself replaced.
        data: The new content.
        like: The status of the file whose owner and mode the new one gets. None: this user, mode 0600.
        overwrite: Whether an existing file is replaced; False refuses one, even one that appears meanwhile.

    Raises:
        FileExistsError: The path exists and `overwrite` is false.
        OSError: The file cannot be written; it is as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        _fill(descriptor, data, like)
        if overwrite:
            temporary.replace(path)
        else:
            # Unlike a rename, a new link refuses to take another file's place.
            path.hardlink_to(temporary)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def back_up(path: Path, data: bytes, *, like: os.stat_result | None = None) -> Path:
    """Write a copy of a file beside it, as `NAME.DATE-TIME.bak` in UTC, and return the copy's path.

    Args:
        path: The file.
        data: The file's content.
        like: The status of the file whose owner and mode the copy gets. None: this user, mode 0600.

    Raises:
        OSError: The copy cannot be written, and nothing of it is left; or a thousand copies of this second exist.
    """
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, _MAX_BACKUPS + 1):
        copy = path.with_name(f"{path.name}.{moment}{f'_{number}' if number > 1 else ''}.bak")
        try:
            descriptor = _create(copy)
        except FileExistsError:
            continue
        try:
            _fill(descriptor, data, like)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return copy
    raise FileExistsError(errno.EEXIST, "too many backups", str(path))


def _create(path: Path) -> int:
    """Make a file that does not exist, with mode 0600, and return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _PRIVATE_FILE)


def _fill(descriptor: int, data: bytes, like: os.stat_result | None) -> None:
    """Write a new file, flush it to the disk and close it."""
    with os.fdopen(descriptor, "wb") as file:
        if like is not None and os.name == "posix":
            # Only root can give a file away. When root edits a user's file, that user has to stay its owner.
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, on systems that can flush a folder."""
    # The file is in place by now: a folder that cannot be read or flushed must not be reported as a failure.
    with suppress(OSError):
        if os.name == "posix":
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _close_to_others(path: Path, mode: int) -> None:
    # Only the owner can change the mode; whether another user's file can be used shows when it is opened.
    with suppress(PermissionError):
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            path.chmod(mode)
