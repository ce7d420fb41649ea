"""The TOML settings file."""

import errno
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.private_files import user_folder
from blaxel_mcp.core.toml_statements import names_in, statements
from blaxel_mcp.settings.file_trust import fault_of_file
from blaxel_mcp.settings.layers import Layer, Location, dotted, known_keys, layer_from, setting_locations

MAX_FILE_BYTES = 10 * 1024 * 1024
"""Maximum size of a settings file: a device or a model's weights in its place would fill the memory."""

_SECRETS = (("api_key",), ("client_credentials",), ("http", "bearer_tokens"), ("shared", "key"))

_EXCERPT_CHARS = 40
"""The most that is shown of a line on each side of a mistake."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO if os.name == "posix" else 0
"""The permissions of other users in a file's mode, which means nothing on Windows."""

_NAME_A_FILE = "Name an existing file with --config or BLAXEL_MCP_CONFIG, or write one with `blaxel-mcp init`."
_RESTORE = "Restore it, or restart the server to run without its settings."


def default_settings_path() -> Path:
    """Return the path of the settings file when none is named: `config.toml` in the user's configuration folder."""
    return user_folder("config") / "config.toml"


def file_signature(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes whenever a file, its owner or its mode does; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode, status.st_uid


def read_settings_file(path: Path, *, required: bool, last: Layer | None = None) -> Layer:
    """Read a TOML settings file; the layer's `file` is None if there is none.

    A file that contains credentials and is accessible to other users of the machine adds a warning, and so does a
    default one that may not be read.

    Args:
        path: The file.
        required: Whether the user named the file. It then has to exist and be readable.
        last: The settings that a running server has from the file. The file must then still exist, and must not have
            become empty: an editor, a dotfile manager or a mistake may have removed it.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, is larger than `MAX_FILE_BYTES`, or can be changed by
            other users. Its content is not quoted.
    """
    path = path.absolute()
    try:
        if last is not None and path.exists() and not path.is_file():
            # Opening a pipe in place of the file would wait for a writer.
            raise OSError(errno.EINVAL, "it is not a file")  # noqa: TRY301 - reported like a failure to open it
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            fault = fault_of_file(path, status)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        if last is None and not required:
            if isinstance(error, PermissionError):
                return Layer(warnings=(f"The settings file {path} may not be read, and is not used.",))
            # The home directory of a service's user may be /dev/null. A link that leads nowhere is a mistake.
            is_broken_link = any(place.is_symlink() and not place.exists() for place in (path, *path.parents))
            if isinstance(error, FileNotFoundError | NotADirectoryError) and not is_broken_link:
                return Layer()
        raise ConfigurationError(
            f"The settings file {path} cannot be read ({error.strerror or type(error).__name__}).",
            hint=_NAME_A_FILE if last is None else _RESTORE,
        ) from error
    if fault is None and len(data) > MAX_FILE_BYTES:
        fault = f"is larger than {MAX_FILE_BYTES} bytes", "Check that it is the settings file and nothing else."
    if fault is not None:
        raise ConfigurationError(f"The settings file {path} {fault[0]}.", hint=fault[1])
    layer = replace(layer_from(_parse_toml(data, path), str(path)), file=path, text=data.decode("utf-8-sig"))
    if last is not None and last.values and not layer.values and not layer.problems:
        raise ConfigurationError(f"The settings file {path} no longer sets anything.", hint=_RESTORE)
    if _holds_secrets(layer) and status.st_mode & _OTHERS:
        fix = f"chmod 600 {shlex.quote(str(path))}"
        layer = replace(layer, warnings=(f"{path} contains credentials that other users can access; run `{fix}`.",))
    return layer


def _holds_secrets(layer: Layer) -> bool:
    workspaces = layer.values.get(("workspaces",), {})
    tables = workspaces.values() if isinstance(workspaces, Mapping) else ()
    return any(key in layer.values for key in _SECRETS) or any(
        isinstance(table, Mapping) and not table.keys().isdisjoint({"api_key", "client_credentials"})
        for table in tables
    )


def _parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    excerpt = ""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at {_end_of(data[: error.start])}"
    except tomllib.TOMLDecodeError as error:
        stated = re.search(r" \(at (line \d+, column \d+)\)$", str(error))
        where = stated[1] if stated else _end_of(data)
        problem = f"is not valid TOML at {where}{_reason(str(error))}"
        excerpt = _excerpt(data.decode("utf-8-sig"), *map(int, re.findall(r"\d+", where)))
    except (ValueError, RecursionError):
        # A number with thousands of digits, or thousands of nested brackets.
        problem = "is not valid TOML"
    # Raised outside of `except`, so that the parser's error, which quotes the file, is not chained.
    raise ConfigurationError(f"The settings file {path} {problem}.{excerpt}")


def _excerpt(text: str, line: int, column: int) -> str:
    """Return the line of a mistake and a mark below it; of its words, only names of settings before `=` are shown."""
    name, equals, value = text.split("\n")[line - 1].replace("\t", " ").rstrip("\r").partition("=")
    known = {str(part) for location in setting_locations() for part in location} | {*known_keys(("models", 0))}
    shown = re.sub(r"[\w-]+", lambda word: word[0] if word[0] in known else "*" * len(word[0]), name)
    masked = re.sub(r"[^\s\w\[\]{}=\"'#,.*-]", "*", shown) + equals + re.sub(r"[^\s\[\]{}=\"'#,]", "*", value)
    start = max(0, column - _EXCERPT_CHARS)
    return f"\n    {masked[start : start + 2 * _EXCERPT_CHARS]}\n    {' ' * (column - 1 - start)}^"


def _reason(message: str) -> str:
    """Return why a text is not TOML, from the parser's message; empty if the message may quote the text."""
    reason = message.rpartition(" (at ")[0]
    if reason == r"Illegal character '\n'":
        return ": a string or a table is not closed on its line"
    is_safe = re.fullmatch(r"(?:[A-Za-z /,-]|'[^\w\s'\\]{1,2}')+", reason)
    return f": {reason[0].lower()}{reason[1:]}" if is_safe else ""


def with_lines(problems: Iterable[str], path: Path, text: str) -> Iterator[str]:
    """Yield sentences about settings, those about a file with the line of the key, such as `/path/config.toml:4`.

    Sentences about the file begin with the key and `in PATH`.
    """
    lines: dict[str, int] = {}
    for location, line in _key_lines(text):
        lines[dotted(location)] = line
        if location[-1:] == (0,):
            lines[dotted(location[:-1])] = line
    for problem in problems:
        name, is_about_file, rest = problem.partition(f" in {path} ")
        key = name
        # A key in an inline table, or an element of a list, is on the line of the key around it or on a later one.
        while key and key not in lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        yield f"{name} in {path}:{lines[key]} {rest}" if is_about_file and key else problem


def _key_lines(text: str) -> Iterator[tuple[Location, int]]:
    """Yield each table and key with its line, counted from 1; tables of one array are numbered."""
    section: Location = ()
    last: dict[Location, int] = {}
    line, position = 1, 0
    for statement in statements(text):
        line, position = line + text.count("\n", position, statement.start), statement.start
        if text[statement.start] != "[":
            key = text[statement.start : statement.value].rstrip(" \t=")
            yield (*section, *names_in(f"[{key}]")), line
            continue
        section = ()
        is_array = text.startswith("[[", statement.start)
        for depth, name in enumerate(statement.section, 1):
            section = (*section, name)
            if is_array and depth == len(statement.section):
                last[section] = last.get(section, -1) + 1
            if section in last:
                section = (*section, last[section])
        yield section, line


def _end_of(data: bytes) -> str:
    lines = data.split(b"\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
