"""A JSON parser that keeps the position of every value."""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from blaxel_mcp.setup.install.file import malformed

_BLANK = re.compile(r"[ \t\r\n]*")
_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.])|(?:true|false|null)\b")
_MAX_DEPTH = 200
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Value:
    """A value: its start and end in the text, and its members if it is an object or an array."""

    start: int
    end: int
    members: "tuple[Member, ...] | None" = None
    is_object: bool = False

    def member(self, key: str) -> "Member | None":
        """Return the member with this key, or None; of duplicates the last, as JSON parsers do."""
        return next((member for member in reversed(self.members or ()) if member.key == key), None)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, or an element of an array, which has no key; `comma` is the offset of the next comma."""

    key: str | None
    start: int
    value: Value
    comma: int | None

    @property
    def end(self) -> int:
        """The end of the member, including the comma after it."""
        return self.value.end if self.comma is None else self.comma + 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse(text: str, *, comments: bool, within: str | None = None) -> Value | None:
    """Return the root value of a JSON text; None if the text is blank.

    Args:
        text: The whole file; it may begin with a byte order mark.
        comments: Whether comments and trailing commas are allowed.
        within: The only member of the document whose value is parsed in detail; None for all. Without comments, the
            others are skipped by the standard library's parser, since some clients keep megabytes of history beside
            their servers. A skipped value then has no members, and may be nested more deeply.

    Raises:
        UneditableError: The text is not JSON.
    """
    parser = _Parser(text, comments=comments, within=within)
    start = parser.skip(len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0)
    if start == len(text):
        return None
    root = parser.value(start, 0)
    end = parser.skip(root.end)
    if end != len(text):
        parser.fail("unexpected text after the end of the document", end)
    return root


def to_python(text: str, value: Value) -> Any:
    """Convert a value to Python's types."""
    if value.members is None:
        token = text[value.start : value.end]
        try:
            return json.loads(token)
        except ValueError:
            # A number with more digits than Python converts.
            return token
    if value.is_object:
        return {member.key: to_python(text, member.value) for member in value.members}
    return [to_python(text, member.value) for member in value.members]


def trivia(text: str, start: int) -> str:
    """Return the whitespace and comments at an offset."""
    match = _TRIVIA.match(text, start)
    return match[0] if match else ""


class _Parser:
    def __init__(self, text: str, *, comments: bool, within: str | None) -> None:
        self._text = text
        self._within = within
        self._comments = comments
        self._space = _TRIVIA if comments else _BLANK

    def fail(self, problem: str, offset: int) -> NoReturn:
        raise malformed(problem, self._text, offset)

    def skip(self, at: int) -> int:
        """Return the offset of the next token."""
        space = self._space.match(self._text, at)
        end = space.end() if space else at
        if self._text.startswith(("//", "/*"), end):
            self.fail("unterminated comment" if self._comments else "this client does not allow comments", end)
        return end

    def value(self, at: int, depth: int) -> Value:
        first = self._text[at : at + 1]
        if first in {"{", "["}:
            if depth >= _MAX_DEPTH:
                self.fail("values are nested too deeply", at)
            return self._container(at, depth, is_object=first == "{")
        token = _STRING.match(self._text, at) if first == '"' else _SCALAR.match(self._text, at)
        if token is None:
            unterminated = "unterminated string, or a character in it that must be escaped"
            self.fail(unterminated if first == '"' else "expected a value", at)
        return Value(at, token.end())

    def _skipped_value(self, at: int) -> Value | None:
        """Return a value without its members, found by the standard library's parser; None if that fails."""
        if self._comments:
            return None
        try:
            return Value(at, _DECODER.raw_decode(self._text, at)[1])
        except (ValueError, RecursionError):
            # Parsing in detail finds the mistake again, with its position and in our words.
            return None

    def _container(self, at: int, depth: int, *, is_object: bool) -> Value:
        closing = "}" if is_object else "]"
        members: list[Member] = []
        end = self.skip(at + 1)
        while not self._text.startswith(closing, end):
            if members and members[-1].comma is None:
                self.fail(f"expected a comma or {closing}", end)
            member = self._member(end, depth, is_object=is_object)
            members.append(member)
            end = self.skip(member.end)
        if members and members[-1].comma is not None and not self._comments:
            self.fail(f"this client does not allow a comma before {closing}", members[-1].comma)
        return Value(at, end + 1, tuple(members), is_object)

    def _member(self, at: int, depth: int, *, is_object: bool) -> Member:
        start, key = at, None
        if is_object:
            name = _STRING.match(self._text, at)
            if name is None:
                self.fail("expected a double-quoted key or }", at)
            key = json.loads(name[0])
            at = self.skip(name.end())
            if not self._text.startswith(":", at):
                self.fail("expected a colon", at)
            at = self.skip(at + 1)
        outside = depth == 0 and self._within is not None and key != self._within
        value = (self._skipped_value(at) if outside else None) or self.value(at, depth + 1)
        comma = self.skip(value.end)
        return Member(key, start, value, comma if self._text.startswith(",", comma) else None)
