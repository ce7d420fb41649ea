"""Edits to a JSON text that keep every other character: comments, order, indentation, line ends.

Parsing and rewriting a text would lose its comments, its layout and, with some writers, digits. Of the libraries that
keep comments, json-five 1.1.2 raised on 115 of 800 documents (a literal U+2028 in a string) and was a thousand times
slower than `json.loads`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.setup.install.file import not_a_table
from blaxel_mcp.setup.install.json_parser import Member, Value, parse, to_python, trivia

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


_BLANK = " \t\r\n"
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_SPACES = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)


class JsonText:
    """A JSON text that can be read and edited by path; each edit returns a new one.

    The arguments are those of `json_parser.parse`; a blank text counts as an empty object.

    Raises:
        UneditableError: The text is not a JSON object, or an edit's path leads through something that is neither an
            object nor, for `append`, an array.
    """

    def __init__(self, text: str, *, comments: bool, within: str | None = None) -> None:
        root = parse(text, comments=comments, within=within)
        if root is None:
            text = f"{text}{{}}{newline_of(text)}"
            root = parse(text, comments=comments, within=within)
        if root is None or not root.is_object:
            raise not_a_table("")
        self.text = text
        self._root = root
        self._comments = comments
        self._within = within

    def get(self, key: str) -> Any:
        """Return the value of a key; None if it is null or absent."""
        node = self._find([key])
        return to_python(self.text, node) if node is not None else None

    def put(self, value: Any, *path: str) -> "JsonText":
        """Return the text with a value at a path; the same text if the value is already there."""
        node = self._root
        for depth, key in enumerate(path):
            if not node.is_object:
                raise not_a_table(".".join(path[:depth]))
            member = node.member(key)
            if member is None:
                for outer in reversed(path[depth + 1 :]):
                    value = {outer: value}
                return self._with_member(node, key, value)
            node = member.value
        return self._with_value(node, value, path)

    def append(self, value: Any, *path: str) -> "JsonText":
        """Return the text with a value added to the end of an array, which is created if absent."""
        array = self._find(path)
        if array is None:
            return self.put([value], *path)
        if array.members is None or array.is_object:
            raise not_a_table(".".join(path))
        return self._with_member(array, None, value)

    def drop(self, *path: str) -> "JsonText":
        """Return the text without the member at a path, including its duplicates."""
        result = self
        while (parent := result._find(path[:-1])) is not None and (member := parent.member(path[-1])) is not None:
            result = result._without_member(parent, member)
        return result

    def drop_element(self, index: int, *path: str) -> "JsonText":
        """Return the text without one element of an array."""
        array = self._find(path)
        if array is None or array.members is None:
            return self
        return self._without_member(array, array.members[index])

    def _find(self, path: Sequence[str]) -> Value | None:
        node = self._root
        for key in path:
            member = node.member(key) if node.is_object else None
            if member is None:
                return None
            node = member.value
        return node

    def _with_value(self, node: Value, value: Any, path: Sequence[str]) -> "JsonText":
        current = to_python(self.text, node)
        # Not ==, since True == 1 in Python.
        if json.dumps(current, sort_keys=True) == json.dumps(value, sort_keys=True):
            return self
        if not (node.is_object and isinstance(value, dict)):
            layout = layout_of(self.text, node, self._root)
            return self._edited((node.start, node.end, layout.written(value, layout.indent)))
        result = self
        for key in [key for key in current if key not in value]:
            result = result.drop(*path, key)
        for key, inner in value.items():
            result = result.put(inner, *path, key)
        return result

    def _with_member(self, node: Value, key: str | None, value: Any) -> "JsonText":
        layout = layout_of(self.text, node, self._root)
        written = f"{layout.name(key)}{layout.written(value, layout.member_indent)}"
        last = node.members[-1] if node.members else None
        # After every comment, since one may belong to the previous member.
        at = node.end - 1 - len(_blank_end(trivia(self.text, last.end if last else node.start + 1)))
        if layout.flat:
            trailing_comma = last is not None and last.comma is not None
            separator = "" if last is None else layout.space if trailing_comma else layout.comma
            return self._edited((at, at, f"{separator}{written}{',' if trailing_comma else ''}"))
        line = f"{layout.newline}{layout.member_indent}{written}"
        if last is None:
            return self._edited((at, node.end - 1, f"{line}{layout.newline}{layout.indent}"))
        if last.comma is not None:
            return self._edited((at, at, f"{line},"))
        return self._edited((last.value.end, last.value.end, ","), (at, at, line))

    def _without_member(self, node: Value, member: Member) -> "JsonText":
        siblings = node.members or ()
        index = siblings.index(member)
        before = siblings[index - 1] if index else None
        lead = trivia(self.text, before.end if before else node.start + 1)
        around = self.text[node.start + 1 : member.start] + self.text[member.end : node.end - 1]
        if len(siblings) == 1 and not around.strip(_BLANK):
            return self._edited((node.start + 1, node.end - 1, ""))
        cut = (member.start - len(_blank_end(lead)), member.end, "")
        is_first = before is None and member.comma is not None
        comments = _COMMENT.findall(lead)
        after_line_comment = bool(comments) and comments[-1].startswith("//")
        if not _REST_OF_LINE.match(self.text, member.end) and (is_first or after_line_comment):
            # The next member must not become part of a comment, and takes the place of a removed first one.
            spaces = _SPACES.match(self.text, member.end)
            cut = (member.start, spaces.end() if spaces else member.end, "")
        if member.comma is None and before is not None and before.comma is not None:
            return self._edited((before.comma, before.comma + 1, ""), cut)
        return self._edited(cut)

    def _edited(self, *edits: tuple[int, int, str]) -> "JsonText":
        """Return the text with some ranges replaced; each edit is (start, end, replacement), in ascending order."""
        text = self.text
        for start, end, replacement in reversed(edits):
            text = text[:start] + replacement + text[end:]
        return JsonText(text, comments=self._comments, within=self._within)


def _blank_end(text: str) -> str:
    return text[len(text.rstrip(_BLANK)) :]
