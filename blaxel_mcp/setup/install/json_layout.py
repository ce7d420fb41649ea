"""The layout of a JSON text, so that additions look like the rest of it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.setup.install.json_parser import Value

_FIRST_INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_INDENT = re.compile(r"\ufeff?([ \t]*)")
_DEFAULT_STEP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layout in and around one object or array.

    Attributes:
        step: The indentation of one level.
        indent: The indentation of the line on which the object or array begins.
        member_indent: The indentation of its members.
        flat: Whether its members share one line.
        space: The space after a colon or a comma within a line.
    """

    newline: str
    step: str
    indent: str
    member_indent: str
    flat: bool
    space: str

    @property
    def comma(self) -> str:
        """The separator of two members on one line."""
        return f",{self.space}"

    def written(self, value: Any, indent: str) -> str:
        """Return the text of a value that begins on a line with this indentation."""
        is_object = isinstance(value, dict)
        has_containers = isinstance(value, list) and any(isinstance(element, dict | list) for element in value)
        if not value or self.flat or not (is_object or has_containers):
            return json.dumps(value, ensure_ascii=False, separators=(self.comma, f":{self.space}"))
        inner = f"{indent}{self.step}"
        members = value.items() if is_object else ((None, element) for element in value)
        lines = (f"{self.newline}{inner}{self.name(key)}{self.written(member, inner)}" for key, member in members)
        first, last = "{}" if is_object else "[]"
        return f"{first}{','.join(lines)}{self.newline}{indent}{last}"

    def name(self, key: str | None) -> str:
        """Return the text of a key with its colon; empty for an array's element, which has none."""
        return "" if key is None else f"{json.dumps(key, ensure_ascii=False)}:{self.space}"


def layout_of(text: str, node: Value, root: Value) -> Layout:
    """Return the layout of an object or array, completed from the whole text where it has no members to show it."""
    step = _FIRST_INDENT.search(text)
    unit = step[1] if step else _DEFAULT_STEP
    indent = _indent(text, node.start)
    member_indent = f"{indent}{unit}"
    if node.members and not text[_line_start(text, node.members[0].start) : node.members[0].start].strip(" \t"):
        member_indent = _indent(text, node.members[0].start)
    first = root.members[0] if root.members else None
    spaced = text[first.start : first.value.start].rpartition(":")[2] if first else " "
    return Layout(
        newline=newline_of(text),
        step=unit,
        indent=indent,
        member_indent=member_indent,
        flat=_is_flat(text, node if node.members else root),
        space=" " if spaced else "",
    )


def newline_of(text: str) -> str:
    """Return the line ending of a text's first line."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _is_flat(text: str, node: Value) -> bool:
    if not node.members:
        return False
    before = text[node.start : node.members[0].start]
    after = text[node.members[-1].value.end : node.end]
    return "\n" not in before and "\n" not in after


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent(text: str, at: int) -> str:
    indent = _INDENT.match(text, _line_start(text, at))
    return indent[1] if indent else ""
