"""TOML as it stands in a file: its headers and keys, each with the place where it is written."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.setup.install.errors import MalformedError

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|(?P<comment>\#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<newline>\n)|(?P<blank>[ \t\r\ufeff]+)"
    r"|[^\"'\#\[\]{}\n \t\r\ufeff]+|.",
    re.DOTALL,
)
_NAME = r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"(?P<first>{_NAME})(?P<more>(?:[ \t]*\.[ \t]*{_NAME})*)[ \t]*=[ \t]*")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a key with its value.

    Attributes:
        line: Where its first line begins.
        start: Where it itself begins.
        end: Where it ends, without the comment behind it.
        next: Where the line after it begins.
        section: The names in the header that it stands under, or in itself if it is one.
        key: The key's name; None for a header and for a key with dots.
        value: Where the key's value begins.
    """

    line: int
    start: int
    end: int
    next: int
    section: tuple[str, ...]
    key: str | None
    value: int


def parse(text: str) -> dict[str, Any]:
    """The document as Python has it.

    Raises:
        MalformedError: It is not TOML.
    """
    try:
        # A text's line ends are those of its writer; to TOML a carriage return alone is a mistake.
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        offset = len(text)
        if place and place[1]:
            offset = sum(len(line) + 1 for line in text.split("\n")[: int(place[1]) - 1]) + int(place[2]) - 1
        raise MalformedError("it is not valid TOML", text, offset) from None
    except (ValueError, RecursionError):
        raise MalformedError("a value in it is beyond what can be read", text, 0) from None


def statements(text: str) -> Iterator[Statement]:
    """Find every header and key of a document that `parse` takes."""
    section: tuple[str, ...] = ()
    for line, start, end, following in _spans(text):
        if text[start] == "[":
            section = _names(text[start:end])
            yield Statement(line, start, end, following, section, None, end)
            continue
        found = _KEY.match(text, start)
        key = None
        if found and not found["more"]:
            key = next(iter(tomllib.loads(f"{found['first']} = 0")))
        yield Statement(line, start, end, following, section, key, found.end() if found else end)


def _spans(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each statement's line begins, where it begins and ends, and where the line after it begins."""
    depth, line, start, end = 0, 0, None, 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "newline" and depth == 0:
            if start is not None:
                yield line, start, end, token.end()
            line, start = token.end(), None
        elif kind not in {"comment", "newline", "blank"}:
            depth += (kind == "open") - (kind == "close")
            start, end = token.start() if start is None else start, token.end()
    if start is not None:
        yield line, start, end, len(text)


def _names(header: str) -> tuple[str, ...]:
    """The names in a header: ("a", "b c") of `[a."b c"]`."""
    table: Any = tomllib.loads(header)
    names: list[str] = []
    while table:
        table = table[0] if isinstance(table, list) else table
        name = next(iter(table), None)
        if name is None:
            break
        names.append(name)
        table = table[name]
    return tuple(names)
