"""Reading and replacing a client's file, and errors about its text, none of which quotes the text."""

import errno
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file

_BYTE_ORDER_MARK = "\ufeff"


class UneditableError(Exception):
    """Why a client's file is not edited, and what to do: two texts in which `{file}` and `{client}` stand for those."""

    def about(self, file: object, client: str = "CLIENT") -> ConfigurationError:
        """Return the error to show; it quotes nothing from the file."""
        message, advice = (text.replace("{client}", client).replace("{file}", str(file)) for text in self.args)
        return ConfigurationError(message, hint=f"Nothing was changed. {advice}")


def malformed(problem: str, text: str, offset: int) -> UneditableError:
    """Return the error of a text that cannot be parsed, with line and column in characters, both counted from 1."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n").removeprefix(_BYTE_ORDER_MARK)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"{{file}} cannot be parsed at line {line}, column {column}: {problem}."
    return UneditableError(message, "Fix the file by hand, then run this again.")


def not_a_table(path: str) -> UneditableError:
    """Return the error of a value that should be a table; `path` is its dotted name, empty for the whole text."""
    place = f"{path} in {{file}}" if path else "{file}"
    message = f"{place} should be a table of keys and values, but is something else."
    return UneditableError(message, "Fix the file by hand, or choose another one with --file FILE.")


if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOCK_SECONDS, _LOCK_POLL_SECONDS = 30.0, 0.05


def read_text(path: Path) -> str | None:
    """Return the file's exact text, with its line ends and byte order mark; None if there is no file.

    Raises:
        ConfigurationError: The file cannot be read, or is not UTF-8.
    """
    with _os_errors_reported(path, "read"):
        if path.exists() and not path.is_file():
            # Reading a named pipe would block.
            raise OSError(errno.EINVAL, "not a regular file")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise malformed("not UTF-8 text", data[: error.start].decode(), error.start).about(path) from None


def replace_text(path: Path, before: str | None, after: str, *, backup: str | None, private: bool) -> Path | None:
    """Replace a file's text, keep its owner and mode, and write a backup beside it.

    A link stays a link: its target is replaced, and the backup lies beside the target. A new file and the folders
    that it needs are private to their owner. With `private`, the file is closed to other users before the new text is
    in it. Return the backup, which holds the text `backup`; None if there is none.

    Raises:
        ConfigurationError: The file cannot be written, or no longer holds `before`. It is unchanged.
    """
    with _os_errors_reported(path, "written"):
        target = path.resolve()
        if read_text(target) != before:
            raise ConfigurationError(
                f"Another program changed {path} in the meantime.",
                hint="Nothing was changed. Close the client, then run this again.",
            )
        make_folder(target.parent)
        status = target.stat() if before is not None else None
        copy = None if backup is None else back_up(target, backup.encode(), like=status)
        if status is not None and private:
            status = os.stat_result((status.st_mode & ~_OTHERS, *status[1:]))
        try:
            replace_file(target, after.encode(), like=status)
        except BaseException:
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise
    return copy


def check_writable(path: Path) -> None:
    """Raise ConfigurationError if this user may not create or replace a file, as far as that shows without writing."""
    with _os_errors_reported(path, "written"):
        folder = next(folder for folder in path.resolve().parents if folder.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def is_open_to_others(path: Path) -> bool:
    """Return whether other users of the machine can read or write a file; False if there is none."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False


def backups_of(path: Path) -> list[Path]:
    """Return the backups that `replace_text` has made of a file."""
    target = path.resolve()
    name = re.compile(re.escape(target.name) + r"\.\d{8}-\d{6}(?:_\d+)?\.bak")
    try:
        return sorted(other for other in target.parent.iterdir() if name.fullmatch(other.name) and other.is_file())
    except OSError:
        return []


@contextmanager
def edit_lock(home: Path, *, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Keep other runs of this command from editing any client's file while the context lasts.

    The user's home directory carries the lock. Without one, or on a file system without locks, there is none.

    Raises:
        ConfigurationError: Another run has held the lock for so many seconds.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            if sys.platform == "win32":
                descriptor = os.open(Path(tempfile.gettempdir(), "blaxel-mcp-install.lock"), os.O_RDWR | os.O_CREAT)
            else:
                descriptor = os.open(home, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            _acquire(descriptor, time.monotonic() + seconds)
        yield


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    "Another `blaxel-mcp install` is still running.", hint="Nothing was changed. Run this again."
                ) from None
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return


@contextmanager
def _os_errors_reported(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        denied = isinstance(error, PermissionError)
        advice = "Check the permissions of the file and its folder" if denied else "Fix that"
        raise ConfigurationError(
            f"{path} cannot be {done} ({error.strerror or type(error).__name__}).",
            hint=f"Nothing was changed. {advice}, or choose another file with --file FILE.",
        ) from error
