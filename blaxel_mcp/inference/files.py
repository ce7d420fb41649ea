"""Read the files that callers name: from allowed folders or from data: URLs; an https URL is passed on, never fetched.

A text that an agent has read may trick it into naming any file. So a path counts only inside a folder in
`files.allowed_dirs`, after all its links are resolved, and the error for a path outside does not reveal whether the
file exists.
"""

import base64
import errno
import os
import stat
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import anyio.to_thread

from blaxel_mcp.apis.base import FileData, FileURL, InputFile
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import extension_for, media_type_of
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import FileSettings

_SHOWN_CHARS = 200
"""Characters of a path that a message repeats; only its end distinguishes it from others."""

_SETTING = "Files are read only from the folders in files.allowed_dirs, which the person who runs the server sets."


class FileReader:
    """Reads the files that callers name in their arguments, as `[files]` allows it."""

    def __init__(self, settings: FileSettings) -> None:
        self._folders = settings.allowed_dirs
        self._max_bytes = settings.max_bytes

    async def load(self, arguments: JSONObject, names: Sequence[str]) -> JSONObject:
        """Return the arguments with those of these names, a string or an array of strings each, replaced by files.

        Raises:
            InvalidArgumentsError: A file cannot be used; the hint names the setting that allows it.
        """

        def load(value: Any) -> Any:
            return [self._load_one(item) for item in value] if isinstance(value, list) else self._load_one(value)

        loaded = dict(arguments)
        for name in names:
            if name in loaded:
                loaded[name] = await anyio.to_thread.run_sync(load, loaded[name], abandon_on_cancel=True)
        return loaded

    def _load_one(self, value: Any) -> InputFile:
        if not isinstance(value, str):
            raise InvalidArgumentsError("A file is given as a path, a data: URL or an https URL.")
        scheme = value.partition(":")[0].lower() if ":" in value else ""
        match scheme:
            case "data":
                return self._from_data_url(value)
            case "https":
                return _from_https_url(value)
            case "http":
                raise _rejected(value, "is not an https URL", "Use https.")
        return self._from_path(value)

    def _from_data_url(self, url: str) -> FileData:
        head, comma, text = url.partition(",")
        declared, *parameters = head[len("data:") :].split(";")
        try:
            data = base64.b64decode(text, validate=True) if "base64" in parameters else unquote_to_bytes(text)
        except ValueError:
            raise _rejected(url, "is not valid base64", "Encode the whole file, without line breaks.") from None
        if not comma:
            raise _rejected(url, "has no data", "A data: URL has the form data:TYPE;base64,DATA.")
        return self._checked(data, "data", url, declared=declared)

    def _from_path(self, value: str) -> FileData:
        path = _absolute_path(value)
        if not self._folders:
            raise _rejected(path, "cannot be read: files.allowed_dirs is empty", _SETTING)
        try:
            real = os.path.realpath(path)
            # Path.expanduser raises if there is no home directory.
            folders = (os.path.realpath(os.path.expanduser(folder)) for folder in self._folders)  # noqa: PTH111 - see above
            folder = next(folder for folder in folders if _is_below(real, folder))
            data = _content(folder, os.path.realpath(_as_spelled(folder, real)), self._max_bytes)
        except (OSError, ValueError, StopIteration):
            # The same text for a missing file and for one that may not be read.
            problem = "is not a readable file inside a folder in files.allowed_dirs"
            raise _rejected(path, problem, _SETTING) from None
        return self._checked(data, Path(path).name, path)

    def _checked(self, data: bytes, name: str, shown: str, *, declared: str = "") -> FileData:
        if len(data) > self._max_bytes:
            raise _rejected(shown, f"is larger than {self._max_bytes} bytes", "The limit is files.max_bytes.")
        media_type = media_type_of(data)
        if media_type is None:
            raise _rejected(shown, "is not an image, audio or document of a known type", "Check the file's content.")
        if declared and declared.partition("/")[0] != media_type.partition("/")[0]:
            raise _rejected(shown, f"contains {media_type}, not {declared}", "Declare the type of its content.")
        return FileData(name if "." in name else name + extension_for(media_type), media_type, data)


def _from_https_url(url: str) -> FileURL:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.username is not None or not url.isprintable() or " " in url:
        raise _rejected(url, "is not a plain https URL", "Use a URL with a host and without a user name.")
    return FileURL(url)


def _absolute_path(value: str) -> str:
    if value.lower().startswith("file:"):
        parts = urlsplit(value)
        if parts.netloc not in ("", "localhost"):
            raise _rejected(value, "is on another machine", "Use the path of a file on this machine.")
        value = unquote(parts.path)
    if len(value) > 1 and set(value[:2]) <= {"\\", "/"}:
        # On Windows, a path of another machine or of a device. Checking it would log in to that machine.
        raise _rejected(value, "is on another machine", "Use the path of a file on this machine.")
    path = Path(os.path.expanduser(value) if value.startswith(("~/", "~\\")) else value)  # noqa: PTH111 - as above
    if "\0" in value or not path.is_absolute():
        raise _rejected(
            value, "is not an absolute path", "Use one; the server's working directory is not the caller's."
        )
    return str(path)


def _as_spelled(folder: str, path: str) -> str:
    """Return a path with each part as it is spelled below the folder, where only the characters differ.

    macOS puts a narrow no-break space into the names of screenshots, for which models write a space, and some systems
    decompose accented letters.
    """
    for part in Path(path).relative_to(folder).parts:
        exact = Path(folder, part)
        if not exact.exists():
            wanted = unicodedata.normalize("NFKC", part)
            with suppress(OSError):
                same = [each for each in Path(folder).iterdir() if unicodedata.normalize("NFKC", each.name) == wanted]
                exact = same[0] if len(same) == 1 else exact
        folder = str(exact)
    return folder


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder if Path(path).anchor == Path(folder).anchor else False


_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = _FLAGS | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = _FLAGS | getattr(os, "O_DIRECTORY", 0)


def _content(folder: str, path: str, limit: int) -> bytes:
    """Read a regular file below a folder, at most one byte more than `limit`.

    Neither path contains a link. A link that has replaced a part of the path since is not followed.

    Raises:
        OSError: The file cannot be read, or it is no longer the one at this path.
    """
    if not _is_below(path, folder):
        raise OSError(errno.EXDEV, "not below the folder")
    with os.fdopen(_opened(folder, path), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if os.path.realpath(path) != path or not os.path.samestat(status, os.lstat(path)):
            raise OSError(errno.ELOOP, "another file has taken its place")
        # So many bytes are allocated before the first is read. Some file systems report no size.
        return file.read(min(limit, max(status.st_size, 2**20)) + 1)


def _opened(folder: str, path: str) -> int:
    """Return the descriptor of a file, opened part by part from its folder on where the system can."""
    if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        return os.open(path, _FILE)
    *folders, name = Path(path).relative_to(folder).parts
    descriptor = os.open(folder, _FOLDER)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        return os.open(name, _FILE, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _rejected(value: str, problem: str, hint: str) -> InvalidArgumentsError:
    return InvalidArgumentsError(f"{literal(value, _SHOWN_CHARS)} {problem}.", hint=hint)
