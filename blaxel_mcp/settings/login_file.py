"""The file in which `bl login` stores credentials; it is read and never written."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from blaxel_mcp.settings.file_trust import fault_of_file
from blaxel_mcp.settings.placeholders import bare_credential, is_unset

MAX_LOGIN_FILE_BYTES = 1024 * 1024
"""Maximum size of a login file, which has a few tokens per workspace."""

REREAD_PAUSE_SECONDS = 0.05
"""How long `bl` gets to finish a file that it is writing, in seconds."""

# PyYAML raises these too: for a value that does not fit its explicit tag (`!!int`, `!!timestamp`) and for deep nesting.
_YAML_FAILURES = (ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)

_Container = TypeVar("_Container", bound="dict[Any, Any] | list[Any]")


@dataclass(frozen=True, slots=True)
class LoginEntry:
    """The login file's entry for one workspace; a field that is blank in the file is None."""

    name: str
    env: str | None = None
    api_key: SecretStr | None = None
    client_credentials: SecretStr | None = None
    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    device_code: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class LoginFile:
    """The content of the login file: the workspace that `bl` currently uses, and the entry of each by its name.

    `problem` says what is wrong with the file without quoting it; None if nothing is.
    """

    path: Path
    current_workspace: str | None = None
    entries: Mapping[str, LoginEntry] = field(default_factory=dict)
    problem: str | None = None


def default_login_path(home: Path) -> Path:
    """Return where Blaxel's CLI and SDKs keep the login file below a home directory."""
    return home / ".blaxel" / "config.yaml"


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML document of plain data.

    Raises:
        ValueError: It is not valid YAML; the message says where.
    """
    import yaml  # noqa: PLC0415 - most servers start without a login file

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *_YAML_FAILURES) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise ValueError(f"line {mark.line + 1}, column {mark.column + 1}" if mark else "invalid value") from None


def read_login_file(path: Path, *, pause: Callable[[float], None] = time.sleep) -> LoginFile:
    """Return the valid parts of the login file; a missing file has no entries and no problem.

    If the file is empty or broken, another process may be writing it. It is then read once more, after a `pause` of
    `REREAD_PAUSE_SECONDS` that blocks.
    """
    login = _read_once(path)
    if login is not None and (login.problem or not login.entries):
        pause(REREAD_PAUSE_SECONDS)
        login = _read_once(path)
    return login or LoginFile(path)


def _read_once(path: Path) -> LoginFile | None:
    """Return the file's content; None if there is no file."""
    try:
        with path.open("rb") as file:
            fault = fault_of_file(path.absolute(), os.fstat(file.fileno()))
            data = file.read(MAX_LOGIN_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return LoginFile(path, problem=f"it cannot be read ({error.strerror or type(error).__name__})")
    if fault is not None:
        # Its credentials decide whose workspace sees the prompts.
        return LoginFile(path, problem=f"it {fault[0]}. {fault[1].removesuffix('.')}")
    if len(data) > MAX_LOGIN_FILE_BYTES:
        return LoginFile(path, problem=f"it is larger than {MAX_LOGIN_FILE_BYTES} bytes")
    return _login_from(path, data)


def _login_from(path: Path, data: bytes) -> LoginFile:
    # No problem quotes the parser's error, which contains the file's text.
    try:
        document = parse_yaml(data.decode())
    except UnicodeDecodeError:
        return LoginFile(path, problem="it is not UTF-8 text")
    except ValueError as error:
        where = f" at {error}" if str(error).startswith("line ") else ""
        return LoginFile(path, problem=f"it is not valid YAML{where}")
    problems: list[str] = []
    root = _typed(document, dict, "its top level", problems)
    context = _typed(root.get("context"), dict, "context", problems)
    entries: dict[str, LoginEntry] = {}
    for index, item in enumerate(_typed(root.get("workspaces"), list, "workspaces", problems)):
        entry = _entry(item, f"workspaces[{index}]", problems)
        if entry is not None:
            # Blaxel's CLI and SDKs use the first entry of a name.
            entries.setdefault(entry.name, entry)
    current = _text(context, "workspace", "context", problems)
    return LoginFile(path, current, entries, "; ".join(problems) or None)


def _entry(item: Any, where: str, problems: list[str]) -> LoginEntry | None:
    table = _typed(item, dict, where, problems)
    name = _text(table, "name", where, problems)
    if name is None:
        problems.append(f"{where} has no name")
        return None
    inside = f"{where}.credentials"
    credentials = _typed(table.get("credentials"), dict, inside, problems)

    def secret(*spellings: str) -> SecretStr | None:
        values = (_text(credentials, key, inside, problems) for key in spellings)
        return next((SecretStr(bare_credential(value)) for value in values if value is not None), None)

    return LoginEntry(
        name=name,
        env=_text(table, "env", where, problems),
        api_key=secret("apiKey"),
        # The CLI writes the first spelling; Blaxel's Python and TypeScript SDKs read the second.
        client_credentials=secret("client_credentials", "clientCredentials"),
        access_token=secret("access_token"),
        refresh_token=secret("refresh_token"),
        device_code=secret("device_code"),
    )


def _typed(value: Any, kind: type[_Container], where: str, problems: list[str]) -> _Container:
    """Return a table or a list; an empty one if it is missing or, which is a problem, of another type."""
    if isinstance(value, kind):
        return value
    if value is not None:
        problems.append(f"{where} is not a {'table' if kind is dict else 'list'}")
    return kind()


def _text(table: Mapping[Any, Any], key: str, where: str, problems: list[str]) -> str | None:
    """Return the text of a key; None if it is unset, for which the CLI writes "" or 0."""
    value = table.get(key)
    if isinstance(value, str):
        return None if is_unset(value) else value.strip()
    if value:
        problems.append(f"{where}.{key} is not text")
    return None
