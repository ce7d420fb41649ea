"""A client's file on the disk: read whole, and replaced at once or not at all."""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.errors import MalformedError

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def read_text(path: Path) -> str | None:
    """The file's text as it stands, line ends and byte order mark included; None where there is no file.

    Raises:
        ConfigurationError: It cannot be read.
        MalformedError: It is not UTF-8.
    """
    with _reported(path, "read"):
        if path.exists() and not path.is_file():
            # A pipe in its place would keep us waiting.
            raise OSError(errno.EINVAL, "it is no file")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("it is not UTF-8 text", data[: error.start].decode(), error.start) from None


def replace_text(path: Path, before: str | None, after: str) -> Path | None:
    """Put a text in a file's place, keeping the file's mode and, beside it, what it had held.

    A link stays a link: the file that it leads to is replaced. A file that is new can be read by its owner alone, and
    so can the folders that it needs.

    Args:
        path: The file.
        before: What it held when the change was made up; None for no file.
        after: What it is to hold.

    Returns:
        The backup, None where there was no file.

    Raises:
        ConfigurationError: It cannot be written, or holds something else by now. It is as it was.
    """
    with _reported(path, "written"):
        real = path.resolve()
        if read_text(real) != before:
            raise ConfigurationError(
                f"{path} has changed in the meantime, and was left as it is.", hint="Close the client and try again."
            )
        _make_folder(real.parent)
        status = real.stat() if before is not None else None
        backup = _backup(real, before, status) if before is not None and status is not None else None
        try:
            _replace(real, after.encode(), status)
        except BaseException:
            if backup is not None:
                backup.unlink(missing_ok=True)
            raise
    return backup


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each its owner's alone; `mkdir` gives that to the last one only."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def _backup(file: Path, text: str, status: os.stat_result) -> Path:
    """Write a copy beside a file, under a name that nothing has."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        copy = file.with_name(f"{file.name}.{moment}{f'_{number}' if number > 1 else ''}.bak")
        try:
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _PRIVATE_FILE)
        except FileExistsError:
            continue
        _write(descriptor, text.encode(), status)
        return copy
    raise FileExistsError(f"backups of {file.name}")


def _replace(file: Path, data: bytes, status: os.stat_result | None) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    try:
        _write(descriptor, data, status)
        os.replace(name, file)  # noqa: PTH105 - the name is what mkstemp gave
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - the same
        raise
    _flush_folder(file.parent)


def _write(descriptor: int, data: bytes, status: os.stat_result | None) -> None:
    """Fill a new file and close it; its owner and mode are those of the file that it follows."""
    with os.fdopen(descriptor, "wb") as file:
        if status is not None and os.name == "posix":
            # An owner can be given by root alone, whose file a client of that user could not read.
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make a replaced name last through a power cut, where folders can be flushed."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _reported(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be {done} ({error.strerror or type(error).__name__}); it was left as it is.",
            hint="Check who owns the file and its folder, or name another with --file.",
        ) from error
