"""The statements of a TOML document with their positions, which `tomllib` drops."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Statement:
    """A header, or a key with its value; positions are offsets in characters.

    Attributes:
        line: The start of its first line.
        start: Its own start.
        end: Its end, without the comment after it.
        next: The start of the line after it.
        section: The names in its header, or in the header above it.
        key: The key's name; None for a header or a dotted key.
        value: The start of the key's value.
    """

    line: int
    start: int
    end: int
    next: int
    section: tuple[str, ...]
    key: str | None
    value: int


def statements(text: str) -> Iterator[Statement]:
    """Yield every header and key of a document that `tomllib` accepts."""
    section: tuple[str, ...] = ()
    for line, start, end, following in _spans(text):
        key, value = None, end
        if text[start] == "[":
            section = names_in(text[start:end])
        elif match := _KEY.match(text, start):
            value = match.end()
            if not match["more"]:
                key = next(iter(tomllib.loads(f"{match['first']} = 0")))
        yield Statement(line, start, end, following, section, key, value)


def _spans(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield each statement's start of line, start, end, and start of the next line."""
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


def names_in(header: str) -> tuple[str, ...]:
    """Return the names in a header, such as ("a", "b c") for `[a."b c"]`."""
    table: Any = tomllib.loads(header)
    names: list[str] = []
    while table:
        if isinstance(table, list):
            table = table[0]
        else:
            ((name, table),) = table.items()
            names.append(name)
    return tuple(names)
