"""Files that an agent names: read where the settings allow it, decoded where they come along, never fetched.

An agent may be talked into naming any file by what it has read. So a path counts only below a
folder that the user has listed, after every link in it is resolved, and what is said of one
outside of them does not tell whether it exists.
"""

import base64
import binascii
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import anyio.to_thread

from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import extension_for, media_type_of
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import FileSettings

_SHOWN_CHARS = 200
"""Characters of a path that a message repeats: its end is what tells it from others."""

_SETTING = "The setting files.allowed_dirs lists the folders whose files may be read; whoever runs the server sets it."


class FileReader:
    """Turns what an agent names into files.

    Args:
        settings: The folders that may be read, and the largest file.
    """

    def __init__(self, settings: FileSettings) -> None:
        self._folders = settings.allowed_dirs
        self._limit = settings.max_bytes

    async def load(self, arguments: JSONObject, names: Sequence[str]) -> JSONObject:
        """Replace the arguments of these names, a string or an array of strings each, by the files that they name.

        Raises:
            InvalidArgumentsError: one cannot be used; says which setting would open it.
        """
        loaded = dict(arguments)
        for name in names:
            if name in loaded:
                loaded[name] = await anyio.to_thread.run_sync(self._all, loaded[name], abandon_on_cancel=True)
        return loaded

    def _all(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._one(item) for item in value]
        return self._one(value)

    def _one(self, value: Any) -> InputFile:
        if not isinstance(value, str):
            raise InvalidArgumentsError("A file is named by a path, a data: URL or an https URL.")
        scheme = value.partition(":")[0].lower() if ":" in value else ""
        match scheme:
            case "data":
                return self._decoded(value)
            case "https":
                return _url(value)
            case "http":
                raise _refused(value, "is not sent over https", "Give an https URL.")
        return self._read(_path(value))

    def _decoded(self, url: str) -> FileData:
        head, comma, text = url.partition(",")
        declared, *parameters = head[len("data:") :].split(";")
        try:
            data = base64.b64decode(text, validate=True) if "base64" in parameters else unquote_to_bytes(text)
        except binascii.Error:
            raise _refused(url, "is not base64", "Encode the whole file, without line breaks.") from None
        if not comma:
            raise _refused(url, "has no data", "A data: URL is data:TYPE;base64,DATA.")
        return self._checked(data, "data", url, declared=declared)

    def _read(self, path: str) -> FileData:
        if not self._folders:
            raise _refused(path, "cannot be read: no folder is open to agents", _SETTING)
        real = os.path.realpath(path)
        if not any(_is_below(real, os.path.realpath(Path(folder).expanduser())) for folder in self._folders):
            raise _unreadable(path)
        try:
            data = _content(real, self._limit)
        except (OSError, ValueError):
            raise _unreadable(path) from None
        return self._checked(data, Path(path).name, path)

    def _checked(self, data: bytes, name: str, shown: str, *, declared: str = "") -> FileData:
        if len(data) > self._limit:
            raise _refused(shown, f"is larger than {self._limit} bytes", "The setting files.max_bytes is the limit.")
        media_type = media_type_of(data)
        if media_type is None:
            raise _refused(
                shown, "is no picture, sound or document of a known kind", "Check that it is the right file."
            )
        if declared and declared.partition("/")[0] != media_type.partition("/")[0]:
            raise _refused(shown, f"is {media_type} by its content, not {declared}", "Declare what it is.")
        return FileData(name if "." in name else name + extension_for(media_type), media_type, data)


def _url(url: str) -> FileURL:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.username is not None or not url.isprintable() or " " in url:
        raise _refused(url, "is not a plain https URL", "Give one with a host and without a user name.")
    return FileURL(url)


def _path(value: str) -> str:
    if value.lower().startswith("file:"):
        parts = urlsplit(value)
        if parts.netloc not in ("", "localhost"):
            raise _refused(value, "is on another machine", "Give the path of a file on this one.")
        value = unquote(parts.path)
    path = Path(value).expanduser() if value.startswith(("~/", "~\\")) else Path(value)
    if "\0" in value or not path.is_absolute():
        raise _refused(value, "is not an absolute path", "The server's working directory means nothing to a caller.")
    return str(path)


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder if Path(path).anchor == Path(folder).anchor else False


def _content(path: str, limit: int) -> bytes:
    """Read a regular file, at most one byte more than `limit`.

    `path` has no link in it; one that has taken a component's place since is not followed at
    the end, and a file that is not the one at this path any more is refused.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if os.path.realpath(path) != path:
            raise OSError(errno.ELOOP, "a link has taken its place")
        return file.read(limit + 1)


def _unreadable(path: str) -> InvalidArgumentsError:
    # The same words for a file that is missing and for one that may not be read.
    return _refused(path, "is no file below a folder that is open to agents", _SETTING)


def _refused(given: str, what: str, hint: str) -> InvalidArgumentsError:
    return InvalidArgumentsError(f"{literal(given, _SHOWN_CHARS)} {what}.", hint=hint)
