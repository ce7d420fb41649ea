"""Files and folders of this user alone, whatever the umask; replacements that are whole or do not happen."""

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


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only this user can read; never over an existing one, nor through a link.

    Raises:
        OSError: The file exists, or the disk refused it. Nothing is left of it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes, *, like: os.stat_result | None = None, overwrite: bool = True) -> None:
    """Put a file in place at once or not at all, and make it survive a power cut.

    Args:
        path: The file; a link at this path is replaced itself.
        data: The new content.
        like: The status of the file whose owner and mode are kept; None for this user's alone.
        overwrite: False refuses an existing file, even one that appears meanwhile.

    Raises:
        FileExistsError: The file exists and `overwrite` is false.
        OSError: The disk refused it; the file is as it was.
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
    """Write a copy of a file beside it, as `NAME.DATE-TIME.bak` in UTC, and return its path.

    Args:
        path: The file.
        data: What the file holds.
        like: The status of the file whose owner and mode the copy gets; None for this user's alone.

    Raises:
        OSError: The disk refused it, or a thousand copies of this second exist already. Nothing is left of the copy.
    """
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, _MAX_BACKUPS):
        copy = path.with_name(f"{path.name}.{moment}{f'_{number}' if number > 1 else ''}.bak")
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(copy, flags, _PRIVATE_FILE)
            try:
                _fill(descriptor, data, like)
            except BaseException:
                copy.unlink(missing_ok=True)
                raise
            return copy
    raise FileExistsError(f"backups of {path.name}")


def _fill(descriptor: int, data: bytes, like: os.stat_result | None) -> None:
    """Write a new file, flush it to the disk and close it."""
    with os.fdopen(descriptor, "wb") as file:
        if like is not None and os.name == "posix":
            # Only root can give a file away; without that, its owner's own program could not read it any more.
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, on systems that can flush a folder."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _close_to_others(path: Path, mode: int) -> None:
    # One of somebody else's is not ours to close; whether it can be used will show.
    with suppress(PermissionError):
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            path.chmod(mode)
