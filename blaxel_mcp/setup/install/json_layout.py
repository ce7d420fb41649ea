"""How a JSON text is laid out, so that what is added looks like what is there."""

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
        newline: What ends a line.
        step: What one level more is indented by.
        indent: What the line is indented by on which the object begins.
        member_indent: What its members are indented by.
        flat: Whether its members share one line.
        space: What follows a colon or a comma in a line.
    """

    newline: str
    step: str
    indent: str
    member_indent: str
    flat: bool
    space: str

    @property
    def comma(self) -> str:
        """What stands between two members of one line."""
        return f",{self.space}"

    def member(self, key: str | None, value: Any) -> str:
        """A member as it is written, without the indentation before it; an element has no key."""
        written = self._written(value, self.member_indent)
        return written if key is None else f"{_quoted(key)}:{self.space}{written}"

    def written(self, value: Any) -> str:
        """A value as it is written in place of the one that this is the layout of."""
        return self._written(value, self.indent)

    def _written(self, value: Any, indent: str) -> str:
        if isinstance(value, dict):
            items = [(f"{_quoted(key)}:{self.space}", inner) for key, inner in value.items()]
            return self._enclosed("{", items, "}", indent, flat=self.flat)
        if isinstance(value, list):
            flat = self.flat or not any(isinstance(inner, dict | list) for inner in value)
            return self._enclosed("[", [("", inner) for inner in value], "]", indent, flat=flat)
        return _quoted(value)

    def _enclosed(self, opening: str, items: list[tuple[str, Any]], closing: str, indent: str, *, flat: bool) -> str:
        inner_indent = f"{indent}{self.step}"
        written = [f"{name}{self._written(value, inner_indent)}" for name, value in items]
        if flat or not written:
            return f"{opening}{self.comma.join(written)}{closing}"
        lines = f",{self.newline}{inner_indent}".join(written)
        return f"{opening}{self.newline}{inner_indent}{lines}{self.newline}{indent}{closing}"


def layout_of(text: str, node: Value, root: Value) -> Layout:
    """The layout of a value, as far as it shows one, else that of the whole text."""
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
        flat=_is_flat(text, node) if node.members else _is_flat(text, root),
        space=" " if spaced else "",
    )


def newline_of(text: str) -> str:
    """What ends the lines of a text, going by the first of them."""
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
    found = _INDENT.match(text, _line_start(text, at))
    return found[1] if found else ""


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
