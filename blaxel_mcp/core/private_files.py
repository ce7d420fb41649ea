"""This user's folders, files that only this user can read under any umask, and replacements that are all or nothing."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import platformdirs

from blaxel_mcp.core.exceptions import ConfigurationError

_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_MAX_BACKUPS = 1000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ROOT, _NOBODY = 0, 65534
_BINARY = getattr(os, "O_BINARY", 0)
_NO_SURPRISE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | _BINARY
"""Flags to open a path at which there may be anything: a link is refused, and a named pipe does not block."""


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


def setting_path(path: str, setting: str) -> Path:
    """Return the path in a setting, with the user's home directory in place of `~`.

    Raises:
        ConfigurationError: The user has no home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"{setting} is {path!r}, and this user has no home directory.", hint="Set it to an absolute path."
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, each with mode 0700; a folder that exists keeps its mode.

    `Path.mkdir(parents=True)` applies its mode to the last folder only: under a umask of 0, anyone could write into the
    others.
    """
    if not folder.exists():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def make_own_folder(folder: Path) -> None:
    """Make a folder that only this program uses, with mode 0700 even if it exists and others can reach it.

    Raises OSError also if it or one above it belongs to another user.
    """
    make_folder(folder)
    # Before the mode is changed: a link may lead to any folder of this user's, or of root's.
    _require_trusted_owners(folder, is_own=True)
    _close_to_others(folder, _PRIVATE_FOLDER)
    _require_no_other_writers(folder)


def require_safe_folder(folder: Path) -> None:
    """Raise an OSError if another user could replace the files in a folder, or put files beside them.

    The folder and those above it, links included, have to belong to this user or root, and only this user's own group
    may write into it. Windows has no such owners and modes: the user's profile protects the folder there.
    """
    _require_trusted_owners(folder, is_own=False)
    _require_no_other_writers(folder)


def make_own_file(path: Path) -> None:
    """Make an empty file with mode 0600; a file that exists keeps its content and is closed to others.

    Raises OSError also if it is no regular file, or belongs to another user.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE))
    if not path.is_file():
        # Root could close `/dev/null` to everyone.
        raise _not_ours(path, "is not a regular file")
    if os.name == "posix" and path.stat().st_uid != os.geteuid():
        raise _not_ours(path, "belongs to another user")
    _close_to_others(path, _PRIVATE_FILE)


def read_private(path: Path, *, limit: int | None = None) -> bytes:
    """Read a file that only this user can have written, never through a link.

    Raises:
        OSError: The file is missing, larger than `limit` bytes, another user's, or open to others.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _NO_SURPRISE), "rb") as file:
        status = os.fstat(file.fileno())
        is_private = stat.S_ISREG(status.st_mode)
        if os.name == "posix":
            is_private = is_private and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS
        if not is_private:
            raise _not_ours(path, "is not a private file of this user")
        data = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return data


def write_private(path: Path, data: bytes, *, like: os.stat_result | None = None, flush: bool = False) -> None:
    """Write a new file, never over an existing file and never through a link; `like` is as in `replace_file`.

    `flush` waits until the content is on the disk.

    Raises:
        FileExistsError: The path exists.
        OSError: The file cannot be written; nothing of it is left.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _PRIVATE_FILE)
    try:
        _fill(descriptor, data, like, flush=flush)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def append_private(path: Path, data: bytes) -> int:
    """Append to a file with mode 0600, made if it is missing, never through a link, and return its new size in bytes.

    Raises:
        OSError: The file cannot be written, is no regular file, or belongs to another user. A part may be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_SURPRISE, _PRIVATE_FILE)
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or (os.name == "posix" and status.st_uid != os.geteuid()):
            raise _not_ours(path, "is not a file of this user")
        if os.name == "posix" and status.st_mode & _OTHERS:
            os.fchmod(file.fileno(), _PRIVATE_FILE)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        return os.fstat(file.fileno()).st_size


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
        _fill(descriptor, data, like, flush=True)
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

    `data` is the file's content; `like` is as in `replace_file`.

    Raises:
        OSError: The copy cannot be written, and nothing of it is left; or a thousand copies of this second exist.
    """
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, _MAX_BACKUPS + 1):
        copy = path.with_name(f"{path.name}.{moment}{f'_{number}' if number > 1 else ''}.bak")
        with suppress(FileExistsError):
            write_private(copy, data, like=like, flush=True)
            return copy
    raise FileExistsError(errno.EEXIST, "too many backups", str(path))


def _fill(descriptor: int, data: bytes, like: os.stat_result | None, *, flush: bool) -> None:
    """Write a new file and close it."""
    with os.fdopen(descriptor, "wb") as file:
        if like is not None and os.name == "posix":
            # Only root can give a file away. When root edits a user's file, that user has to stay its owner.
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(data)
        if flush:
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


def _require_trusted_owners(folder: Path, *, is_own: bool) -> None:
    if os.name != "posix":
        return
    folder = folder.absolute()
    owners = {os.geteuid()} if is_own else {os.geteuid(), _ROOT}
    for path in dict.fromkeys((folder, *folder.parents, *folder.resolve().parents)):
        # In a user namespace, such as a client's sandbox, the folders of the outer root belong to nobody.
        trusted = owners if path == folder else {os.geteuid(), _ROOT, _NOBODY}
        if not {path.lstat().st_uid, path.stat().st_uid} <= trusted:
            raise _not_ours(path, "belongs to another user")


def _require_no_other_writers(folder: Path) -> None:
    if os.name == "posix":
        status = folder.stat()
        others = stat.S_IWOTH if status.st_gid == os.getegid() else stat.S_IWGRP | stat.S_IWOTH
        if status.st_mode & others:
            raise _not_ours(folder, "can be written by other users")


def _not_ours(path: Path, problem: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"{path} {problem}", str(path))


def _close_to_others(path: Path, mode: int) -> None:
    # Only the owner can change the mode; whether another user's file can be used shows when it is opened.
    with suppress(PermissionError):
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            path.chmod(mode)
