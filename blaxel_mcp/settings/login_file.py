"""What `bl login` has left on this machine, read and never written."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.placeholders import is_unset

MAX_LOGIN_FILE_BYTES = 1024 * 1024
"""A login file holds a few tokens per workspace; anything past this is not one."""

REREAD_PAUSE_SECONDS = 0.05
"""How long `bl` is given to finish a file that was caught while it was being written."""

# PyYAML lets these out beside its own errors when an explicit tag (`!!int`, `!!timestamp`) stands before
# a value that does not fit it, or when the nesting is too deep for its recursion.
_YAML_FAILURES = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class LoginEntry:
    """What the login file holds for one workspace; what is empty there is None here."""

    name: str
    env: str | None = None
    api_key: SecretStr | None = None
    client_credentials: SecretStr | None = None
    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    device_code: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class LoginFile:
    """The login file as a value; `problem` says what is wrong with it and quotes nothing from it."""

    path: Path
    current_workspace: str | None = None
    entries: Mapping[str, LoginEntry] = field(default_factory=dict)
    problem: str | None = None


def default_login_path(home: Path) -> Path:
    """Say where Blaxel's CLI and SDKs keep the login file under a home directory."""
    return home / ".blaxel" / "config.yaml"


def read_login_file(path: Path, *, pause: Callable[[float], None] = time.sleep) -> LoginFile:
    """Read the login file, taking whatever of it can be understood.

    It blocks for the time of a small read, or `REREAD_PAUSE_SECONDS` more when the file is
    empty or broken: another process may be half-way through writing it, so it is read once
    again before the result stands.

    Args:
        path: The file; it need not exist.
        pause: Waits for the given number of seconds before the second reading.

    Returns:
        Its content. A missing file has no entries and no problem, a broken one has a problem.
    """
    login = _read_once(path)
    if login is not None and (login.problem or not login.entries):
        pause(REREAD_PAUSE_SECONDS)
        login = _read_once(path)
    return login or LoginFile(path)


def _read_once(path: Path) -> LoginFile | None:
    try:
        document = _parse(_load(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return LoginFile(path, problem=f"it cannot be read ({error.strerror or type(error).__name__})")
    except ConfigurationError as error:
        return LoginFile(path, problem=error.message)
    return _login_file(path, document)


def _load(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_LOGIN_FILE_BYTES + 1)
    if len(data) > MAX_LOGIN_FILE_BYTES:
        raise ConfigurationError(f"it is larger than {MAX_LOGIN_FILE_BYTES} bytes")
    return data


def _parse(data: bytes) -> Any:
    try:
        return yaml.safe_load(data.decode())
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = f"it is not valid YAML{f' at line {mark.line + 1}, column {mark.column + 1}' if mark else ''}"
    except _YAML_FAILURES:
        problem = "it is not valid YAML"
    # Raised here, so that the parser's error with the file's text in it is not chained to ours.
    raise ConfigurationError(problem)


def _login_file(path: Path, document: Any) -> LoginFile:
    problems: list[str] = []
    root = _table(document, "its top level", problems)
    context = _table(root.get("context"), "context", problems)
    entries: dict[str, LoginEntry] = {}
    for index, item in enumerate(_list(root.get("workspaces"), "workspaces", problems)):
        entry = _entry(item, f"workspaces[{index}]", problems)
        if entry is not None:
            # Blaxel's own readers take the first entry of a name.
            entries.setdefault(entry.name, entry)
    current = _text(context, "workspace", "context", problems)
    return LoginFile(path, current, entries, "; ".join(problems) or None)


def _entry(item: Any, where: str, problems: list[str]) -> LoginEntry | None:
    table = _table(item, where, problems)
    name = _text(table, "name", where, problems)
    if name is None:
        problems.append(f"{where} has no name")
        return None
    inside = f"{where}.credentials"
    credentials = _table(table.get("credentials"), inside, problems)

    def secret(*spellings: str) -> SecretStr | None:
        found = (_text(credentials, key, inside, problems) for key in spellings)
        return next((SecretStr(value) for value in found if value is not None), None)

    return LoginEntry(
        name=name,
        env=_text(table, "env", where, problems),
        api_key=secret("apiKey"),
        # The CLI writes the first spelling, Blaxel's Python and TypeScript SDKs look for the second.
        client_credentials=secret("client_credentials", "clientCredentials"),
        access_token=secret("access_token"),
        refresh_token=secret("refresh_token"),
        device_code=secret("device_code"),
    )


def _table(value: Any, where: str, problems: list[str]) -> Mapping[Any, Any]:
    if isinstance(value, dict):
        return value
    if value is not None:
        problems.append(f"{where} is not a table")
    return {}


def _list(value: Any, where: str, problems: list[str]) -> list[Any]:
    if isinstance(value, list):
        return value
    if value is not None:
        problems.append(f"{where} is not a list")
    return []


def _text(table: Mapping[Any, Any], key: str, where: str, problems: list[str]) -> str | None:
    """Give a key's text; the CLI writes what it does not use as "" or 0."""
    value = table.get(key)
    if isinstance(value, str):
        return None if is_unset(value) else value.strip()
    if value:
        problems.append(f"{where}.{key} is not text")
    return None
