"""The TOML settings file."""

import os
import re
import stat
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.layers import Layer, layer_from

_SECRETS = (("api_key",), ("client_credentials",), ("http", "bearer_tokens"))


def default_settings_path() -> Path:
    """Say where the file is looked for when nobody names one."""
    return platformdirs.user_config_path("blaxel-mcp", appauthor=False) / "config.toml"


def file_signature(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.expanduser().stat()
    except (OSError, RuntimeError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_settings_file(path: Path, *, required: bool) -> tuple[Path | None, Layer]:
    """Read a TOML file.

    Args:
        path: The file; a leading `~` is the home directory.
        required: Whether the file has to exist.

    Returns:
        The file's absolute path, None where there is no such file, and what stands in it. A file
        that holds credentials and that other users of the machine can reach gives a warning.

    Raises:
        ConfigurationError: The file cannot be read or is not TOML; nothing of it is quoted.
    """
    path = _absolute(path)
    try:
        data, mode = _load(path)
    except OSError as error:
        # A service's user may have /dev/null for a home.
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not required:
            return None, Layer()
        raise ConfigurationError(
            f"The settings file {path} cannot be read ({error.strerror or type(error).__name__}).",
            hint="Name a file that exists, or none.",
        ) from error
    layer = layer_from(_parse(data, path), str(path))
    if any(key in layer.values for key in _SECRETS) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        warning = f"{path} holds credentials that other users can reach; run `chmod 600 {path}`."
        layer = replace(layer, warnings=(warning,))
    return path, layer


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"The settings file {path} names a home directory that does not exist.") from error


def _load(path: Path) -> tuple[bytes, int]:
    """Give the content, and the permissions where the system has them in this form."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode if os.name == "posix" else 0
        return file.read(), mode


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at {_end(data[: error.start])}"
    except tomllib.TOMLDecodeError as error:
        stated = re.search(r"\(at (line \d+, column \d+)\)$", str(error))
        problem = f"is not valid TOML at {stated[1] if stated else _end(data)}"
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets nested as deep.
        problem = "is not valid TOML"
    # Raised here, so that the parser's error, which quotes the file, is not chained to ours.
    raise ConfigurationError(f"The settings file {path} {problem}.")


def _end(data: bytes) -> str:
    lines = data.split(b"\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
