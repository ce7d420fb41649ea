"""Changes to a JSON text that leave every other character as it is: comments, order, indentation, line ends.

A text that is parsed and written again loses its comments, its writer's layout and, in some writers, digits.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from blaxel_mcp.setup.install.errors import NotATableError
from blaxel_mcp.setup.install.json_layout import layout_of, newline_of
from blaxel_mcp.setup.install.json_parser import Member, Value, parse, plain, trivia

_BLANK = " \t\r\n"
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_SPACES = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)


class JsonText:
    """A JSON text that can be read and changed by path; each change gives a new one.

    Args:
        text: The whole file; a blank one counts as an empty object.
        comments: Whether comments and a comma after the last member are allowed.
        within: The one member of the document that will be changed; None if any of them may be.

    Raises:
        MalformedError: It is not JSON.
        NotATableError: It is JSON, but no object.
    """

    def __init__(self, text: str, *, comments: bool, within: str | None = None) -> None:
        root = parse(text, comments=comments, within=within)
        if root is None:
            text = f"{text}{{}}{newline_of(text)}"
            root = parse(text, comments=comments, within=within)
        if root is None or not root.is_object:
            raise NotATableError("")
        self.text = text
        self._root = root
        self._comments = comments
        self._within = within

    def get(self, *path: str) -> Any:
        """What stands at a path, None where there is nothing or null."""
        found = self._find(path)
        return plain(self.text, found) if found is not None else None

    def put(self, value: Any, *path: str) -> "JsonText":
        """Make a value stand at a path; where it does so already, nothing changes.

        Raises:
            NotATableError: The path leads through something that is no object.
        """
        node = self._root
        for depth, key in enumerate(path):
            if not node.is_object:
                raise NotATableError(".".join(path[:depth]))
            member = node.member(key)
            if member is None:
                for outer in reversed(path[depth + 1 :]):
                    value = {outer: value}
                return self._with_member(node, key, value)
            node = member.value
        return self._with_value(node, value, path)

    def append(self, value: Any, *path: str) -> "JsonText":
        """Put a value at the end of an array, which is made where there is none.

        Raises:
            NotATableError: Something else is in the array's place.
        """
        found = self._find(path)
        if found is None:
            return self.put([value], *path)
        if found.members is None or found.is_object:
            raise NotATableError(".".join(path))
        return self._with_member(found, None, value)

    def drop(self, *path: str) -> "JsonText":
        """Take out what stands at a path, however often it stands there."""
        result = self
        while (parent := result._find(path[:-1])) is not None and (member := parent.member(path[-1])) is not None:
            result = result._without_member(parent, member)
        return result

    def drop_element(self, index: int, *path: str) -> "JsonText":
        """Take one element out of an array."""
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
        current = plain(self.text, node)
        # Not ==: to Python, `true` is 1.
        if json.dumps(current, sort_keys=True) == json.dumps(value, sort_keys=True):
            return self
        if not (node.is_object and isinstance(value, dict)):
            written = layout_of(self.text, node, self._root).written(value)
            return self._changed((node.start, node.end, written))
        result = self
        for key in [key for key in current if key not in value]:
            result = result.drop(*path, key)
        for key, inner in value.items():
            result = result.put(inner, *path, key)
        return result

    def _with_member(self, node: Value, key: str | None, value: Any) -> "JsonText":
        layout = layout_of(self.text, node, self._root)
        written = layout.member(key, value)
        last = node.members[-1] if node.members else None
        # Behind every comment, since one may belong to what stands before it.
        at = node.end - 1 - len(_blank_end(self._last_trivia(node)))
        if layout.flat:
            comma_behind = last is not None and last.comma is not None
            lead = "" if last is None else layout.space if comma_behind else layout.comma
            return self._changed((at, at, f"{lead}{written}{',' if comma_behind else ''}"))
        broken = f"{layout.newline}{layout.member_indent}{written}"
        if last is None:
            return self._changed((at, node.end - 1, f"{broken}{layout.newline}{layout.indent}"))
        if last.comma is not None:
            return self._changed((at, at, f"{broken},"))
        return self._changed((last.value.end, last.value.end, ","), (at, at, broken))

    def _last_trivia(self, node: Value) -> str:
        """The white space and comments before the end of an object or an array."""
        if not node.members:
            return trivia(self.text, node.start + 1)
        last = node.members[-1]
        return trivia(self.text, last.value.end if last.comma is None else last.comma + 1)

    def _without_member(self, node: Value, member: Member) -> "JsonText":
        siblings = node.members or ()
        index = siblings.index(member)
        before = siblings[index - 1] if index else None
        lead = trivia(self.text, node.start + 1 if before is None or before.comma is None else before.comma + 1)
        end = member.value.end if member.comma is None else member.comma + 1
        around = self.text[node.start + 1 : member.start] + self.text[end : node.end - 1]
        if len(siblings) == 1 and not around.strip(_BLANK):
            return self._changed((node.start + 1, node.end - 1, ""))
        cut = (member.start - len(_blank_end(lead)), end, "")
        is_first = before is None and member.comma is not None
        comments = _COMMENT.findall(lead)
        behind_a_comment = bool(comments) and comments[-1].startswith("//")
        if not _REST_OF_LINE.match(self.text, end) and (is_first or behind_a_comment):
            # What follows must not slide behind a comment; and the first member's place is the next one's.
            spaces = _SPACES.match(self.text, end)
            cut = (member.start, spaces.end() if spaces else end, "")
        if member.comma is None and before is not None and before.comma is not None:
            return self._changed((before.comma, before.comma + 1, ""), cut)
        return self._changed(cut)

    def _changed(self, *cuts: tuple[int, int, str]) -> "JsonText":
        """The text with some stretches replaced, which are in their order."""
        pieces, at = [], 0
        for start, end, replacement in cuts:
            pieces += [self.text[at:start], replacement]
            at = end
        return JsonText("".join([*pieces, self.text[at:]]), comments=self._comments, within=self._within)


def _blank_end(text: str) -> str:
    return text[len(text.rstrip(_BLANK)) :]
