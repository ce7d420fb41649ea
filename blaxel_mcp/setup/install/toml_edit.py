"""Changes to a TOML text that leave every other character as it is: comments, order, line ends.

A library that keeps comments was tried first, and moved a key into another table where dotted keys were about.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from blaxel_mcp.setup.install.errors import MalformedError, NotATableError, UnusualTomlError
from blaxel_mcp.setup.install.toml_parser import parse, statements

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class TomlText:
    """A TOML text whose tables of two levels, such as `[mcp_servers.blaxel]`, can be read and changed.

    Args:
        text: The whole file.

    Raises:
        MalformedError: It is not TOML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._data = parse(text)

    def get(self, *path: str) -> Any:
        """What stands at a path, None where there is nothing."""
        node: Any = self._data
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def put(self, entry: Mapping[str, Any], key: str, name: str) -> "TomlText":
        """Make an entry stand in `[key.name]`; where it does so already, nothing changes.

        Raises:
            NotATableError: The key holds something that is no table.
            UnusualTomlError: It, or what it stands in, is an inline table or has dotted keys.
        """
        servers = self.get(key)
        if servers is not None and not isinstance(servers, dict):
            raise NotATableError(key)
        if servers and servers.get(name) == entry:
            return self
        if not servers or name not in servers:
            text = _with_section(self.text, (key, name), entry)
        else:
            text = _with_table(self.text, (key, name), servers[name], entry)
        return self._checked(text, {**self._data, key: {**(servers or {}), name: dict(entry)}})

    def drop(self, key: str, name: str) -> "TomlText":
        """Take an entry out.

        Raises:
            UnusualTomlError: It, or what it stands in, is an inline table or has dotted keys.
        """
        servers = self.get(key)
        if not isinstance(servers, dict) or name not in servers:
            return self
        text = _without(self.text, (key,), name)
        newline = _newline_of(text)
        if self.text.startswith(text) and text.endswith(newline * 2):
            # The empty line that a section at the end has been set off with.
            text = text.removesuffix(newline)
        left = {other: value for other, value in servers.items() if other != name}
        return self._checked(text, {**self._data, key: left})

    def _checked(self, text: str, expected: dict[str, Any]) -> "TomlText":
        """What was changed, if it says what it should and all else as before; else it is not changed at all."""
        try:
            changed = TomlText(text)
        except MalformedError as error:
            raise UnusualTomlError from error
        if _without_empty(changed._data) != _without_empty(expected):
            raise UnusualTomlError
        return changed


def _with_section(text: str, section: tuple[str, ...], entry: Mapping[str, Any]) -> str:
    """A new section at the end: there it cannot take over another's keys."""
    newline = _newline_of(text)
    header = f"[{'.'.join(map(_key, section))}]"
    lines = [header, *(f"{_key(field)} = {_value(value)}" for field, value in entry.items())]
    if text.strip():
        text += newline if text.endswith("\n") else newline * 2
    return text + "".join(f"{line}{newline}" for line in lines)


def _with_table(text: str, section: tuple[str, ...], current: Any, table: Mapping[str, Any]) -> str:
    """A section with other contents: what it has no more goes, what is as it was stays as it is written."""
    current = current if isinstance(current, dict) else {}
    for gone in current.keys() - table.keys():
        text = _without(text, section, gone)
    for name, value in table.items():
        inner = (*section, name)
        if name in current and current[name] == value:
            continue
        if isinstance(value, dict) and any(found.section == inner for found in statements(text)):
            text = _with_table(text, inner, current.get(name), value)
        else:
            text = _with_key(text, section, name, value)
    return text


def _with_key(text: str, section: tuple[str, ...], name: str, value: Any) -> str:
    """One key of a section: replaced where it stands, else put behind the section's last."""
    own = [found for found in statements(text) if found.section == section]
    if not own:
        raise UnusualTomlError
    for found in own:
        if found.key == name:
            return text[: found.value] + _value(value) + text[found.end :]
    last, newline = own[-1], _newline_of(text)
    before = text[: last.next] if text[: last.next].endswith("\n") else text + newline
    return f"{before}{text[last.line : last.start]}{_key(name)} = {_value(value)}{newline}{text[last.next :]}"


def _without(text: str, section: tuple[str, ...], name: str) -> str:
    """A text without a key, or a section and those below it; comments on lines of their own stay."""
    inner = (*section, name)
    own = [
        found
        for found in statements(text)
        if found.section[: len(inner)] == inner or (found.section == section and found.key == name)
    ]
    for found in reversed(own):
        text = text[: found.line] + text[found.next :]
    return text


def _newline_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without tables that are empty: a table goes with the last section in it."""
    return {key: value for key, value in data.items() if value != {}}


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    """A value as TOML has it: text, number, list or inline table; JSON's text is TOML's too."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
