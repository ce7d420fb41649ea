"""JSON as it stands in a file: every value with the place where it is written."""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from blaxel_mcp.setup.install.errors import MalformedError

_BLANK = re.compile(r"[ \t\r\n]*")
_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.])|(?:true|false|null)\b")
_MAX_DEPTH = 200
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Value:
    """A value: where it begins and ends, and what is in it if it is an object or an array."""

    start: int
    end: int
    members: "tuple[Member, ...] | None" = None
    is_object: bool = False

    def member(self, key: str) -> "Member | None":
        """The member of that name; the last of several, as every parser of JSON has it."""
        return next((member for member in reversed(self.members or ()) if member.key == key), None)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, or an element of an array, which has no key; `comma` is where one follows it."""

    key: str | None
    start: int
    value: Value
    comma: int | None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse(text: str, *, comments: bool, within: str | None = None) -> Value | None:
    """Find the values of a JSON text; None where it is blank.

    Args:
        text: The whole file; it may begin with a byte order mark.
        comments: Whether comments and a comma after the last member are allowed.
        within: The only member of the document that is looked into, where the others can be passed over quickly:
            some clients keep megabytes of history beside their servers. None is all of them.

    Raises:
        MalformedError: It is not JSON.
    """
    parser = _Parser(text, comments=comments, within=within)
    start = parser.skip(len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0)
    if start == len(text):
        return None
    root = parser.value(start, 0)
    end = parser.skip(root.end)
    if end != len(text):
        parser.refuse("there is more after the end of the document", end)
    return root


def plain(text: str, value: Value) -> Any:
    """The value as Python has it."""
    if value.members is None:
        token = text[value.start : value.end]
        try:
            return json.loads(token)
        except ValueError:
            # A number with more digits than Python converts.
            return token
    if value.is_object:
        return {member.key: plain(text, member.value) for member in value.members}
    return [plain(text, member.value) for member in value.members]


def trivia(text: str, start: int) -> str:
    """The white space and the comments at a place."""
    found = _TRIVIA.match(text, start)
    return found[0] if found else ""


class _Parser:
    def __init__(self, text: str, *, comments: bool, within: str | None) -> None:
        self._text = text
        self._within = within
        self._comments = comments
        self._space = _TRIVIA if comments else _BLANK

    def refuse(self, problem: str, offset: int) -> NoReturn:
        raise MalformedError(problem, self._text, offset)

    def skip(self, at: int) -> int:
        """Where the next token begins."""
        found = self._space.match(self._text, at)
        end = found.end() if found else at
        if self._text.startswith(("//", "/*"), end):
            self.refuse("a comment has no end" if self._comments else "this client takes no comments", end)
        return end

    def value(self, at: int, depth: int) -> Value:
        first = self._text[at : at + 1]
        if first in {"{", "["}:
            if depth >= _MAX_DEPTH:
                self.refuse("values are nested too deeply", at)
            return self._container(at, depth, is_object=first == "{")
        token = _STRING.match(self._text, at) if first == '"' else _SCALAR.match(self._text, at)
        if token is None:
            self.refuse(
                "a text has no end, or a character in it that has to be escaped" if first == '"' else "a value is due",
                at,
            )
        return Value(at, token.end())

    def _skipped_value(self, at: int) -> Value | None:
        """A value without what is in it, by the standard library's parser; None where that has to be looked at."""
        if self._comments:
            return None
        try:
            return Value(at, _DECODER.raw_decode(self._text, at)[1])
        except (ValueError, RecursionError):
            # Whatever is wrong is found again, with its place and in our words.
            return None

    def _container(self, at: int, depth: int, *, is_object: bool) -> Value:
        closing = "}" if is_object else "]"
        members: list[Member] = []
        end = self.skip(at + 1)
        while not self._text.startswith(closing, end):
            if members and members[-1].comma is None:
                self.refuse(f"a comma or {closing} is due", end)
            member = self._member(end, depth, is_object=is_object)
            members.append(member)
            end = self.skip(member.value.end if member.comma is None else member.comma + 1)
        if members and members[-1].comma is not None and not self._comments:
            self.refuse(f"a comma stands before {closing}, which this client does not take", members[-1].comma)
        return Value(at, end + 1, tuple(members), is_object)

    def _member(self, at: int, depth: int, *, is_object: bool) -> Member:
        start, key = at, None
        if is_object:
            found = _STRING.match(self._text, at)
            if found is None:
                self.refuse("a name in double quotes or } is due", at)
            key = json.loads(found[0])
            at = self.skip(found.end())
            if not self._text.startswith(":", at):
                self.refuse("a colon is due", at)
            at = self.skip(at + 1)
        is_other = depth == 0 and self._within is not None and key != self._within
        value = (self._skipped_value(at) if is_other else None) or self.value(at, depth + 1)
        comma = self.skip(value.end)
        return Member(key, start, value, comma if self._text.startswith(",", comma) else None)
