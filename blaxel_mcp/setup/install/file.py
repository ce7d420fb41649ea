"""Reading and replacing a client's file: whole, or not at all."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file
from blaxel_mcp.setup.install.errors import MalformedError, malformed


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
        problem = MalformedError("not UTF-8 text", data[: error.start].decode(), error.start)
        raise malformed(problem, path) from None


def replace_text(path: Path, before: str | None, after: str) -> Path | None:
    """Replace a file's text, keep its owner and mode, and write a backup beside it.

    A link stays a link: its target is replaced, and the backup lies beside the target. A new file and the folders
    that it needs are private to their owner. Return the backup; None if there was no file, as `before` then is.

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
        backup = None if before is None else back_up(target, before.encode(), like=status)
        try:
            replace_file(target, after.encode(), like=status)
        except BaseException:
            if backup is not None:
                backup.unlink(missing_ok=True)
            raise
    return backup


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
