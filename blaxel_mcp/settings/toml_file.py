"""The TOML settings file."""

import os
import re
import shlex
import stat
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.user_folders import user_folder
from blaxel_mcp.settings.layers import Layer, layer_from

_SECRETS = (("api_key",), ("client_credentials",), ("http", "bearer_tokens"))


def default_settings_path() -> Path:
    """Return the path of the settings file when none is named: `config.toml` in the user's configuration folder."""
    return user_folder("config") / "config.toml"


def file_signature(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes whenever a file does; None if there is no file."""
    try:
        status = path.expanduser().stat()
    except (OSError, RuntimeError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_settings_file(path: Path, *, required: bool) -> tuple[Path | None, Layer]:
    """Read a TOML settings file.

    Args:
        path: The file; a leading `~` is the home directory.
        required: Whether the file has to exist.

    Returns:
        The file's absolute path, or None if there is no file, and its settings. A file that contains credentials and is
        accessible to other users of the machine adds a warning.

    Raises:
        ConfigurationError: The file cannot be read or is not TOML. Its content is not quoted.
    """
    try:
        path = path.expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"The settings file {path} is in a home directory that does not exist.") from error
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode if os.name == "posix" else 0
            data = file.read()
    except OSError as error:
        # The home directory of a service's user may be /dev/null.
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not required:
            return None, Layer()
        if isinstance(error, PermissionError) and not required:
            # HOME may be another user's, as in an image that sets it and is run with `--user`.
            warning = f"The settings file {path} cannot be read ({error.strerror}) and is ignored."
            return None, Layer(warnings=(warning,))
        raise ConfigurationError(
            f"The settings file {path} cannot be read ({error.strerror or type(error).__name__}).",
            hint="Name an existing file with --config or BLAXEL_MCP_CONFIG, or write one with `blaxel-mcp init`.",
        ) from error
    layer = layer_from(_parse_toml(data, path), str(path))
    if any(key in layer.values for key in _SECRETS) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        fix = f"chmod 600 {shlex.quote(str(path))}"
        layer = replace(layer, warnings=(f"{path} contains credentials that other users can access; run `{fix}`.",))
    return path, layer


def _parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at {_end_of(data[: error.start])}"
    except tomllib.TOMLDecodeError as error:
        stated = re.search(r"\(at (line \d+, column \d+)\)$", str(error))
        problem = f"is not valid TOML at {stated[1] if stated else _end_of(data)}"
    except (ValueError, RecursionError):
        # A number with thousands of digits, or thousands of nested brackets.
        problem = "is not valid TOML"
    # Raised outside of `except`, so that the parser's error, which quotes the file, is not chained.
    raise ConfigurationError(f"The settings file {path} {problem}.")


def _end_of(data: bytes) -> str:
    lines = data.split(b"\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
