"""A client's file on the disk: read whole, and replaced at once or not at all."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.private_files import back_up, make_folder, replace_file
from blaxel_mcp.setup.install.errors import MalformedError, malformed


def read_text(path: Path) -> str | None:
    """The file's text as it stands, line ends and byte order mark included; None where there is no file.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
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
        problem = MalformedError("it is not UTF-8 text", data[: error.start].decode(), error.start)
        raise malformed(problem, path) from None


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
        make_folder(real.parent)
        status = real.stat() if before is not None else None
        backup = None if before is None else back_up(real, before.encode(), like=status)
        try:
            replace_file(real, after.encode(), like=status)
        except BaseException:
            if backup is not None:
                backup.unlink(missing_ok=True)
            raise
    return backup


@contextmanager
def _reported(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be {done} ({error.strerror or type(error).__name__}); it was left as it is.",
            hint="Check who owns the file and its folder, or name another with --file.",
        ) from error
