"""The pages of docs/: their generated parts, blocks of code, commands and links.

A generated part is between `<!-- generated: NAME -->` and `<!-- end -->`. A test generates it from the code, or from a
run of the code, and compares. With UPDATE_DOCS=1 in the environment, the test writes the page instead.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"

_PART = re.compile(r"<!-- generated: (?P<name>[^>]+?) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PROGRAM = "blaxel-mcp"
_ENDS_A_COMMAND = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}


def read(page: Path) -> str:
    """Return the text of a page."""
    return page.read_text(encoding="utf-8")


def generated(page: Path) -> dict[str, str]:
    """Return the generated parts of a page by name."""
    return {found["name"]: found["text"] for found in _PART.finditer(read(page))}


def settle(page: Path, name: str, text: str) -> None:
    """Compare a generated part with this text, or write it if UPDATE_DOCS is set."""
    parts = generated(page)
    assert name in parts, f"{page.name} has no place for {name!r}"
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(_PART.sub(lambda found: _filled(found, name, text), read(page)), encoding="utf-8")
    else:
        assert parts[name] == text, f"{page.name} is behind the code at {name!r}: run the tests with UPDATE_DOCS=1"


def _filled(found: re.Match[str], name: str, text: str) -> str:
    return f"<!-- generated: {name} -->\n{text}<!-- end -->" if found["name"] == name else found[0]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with an empty line before and after it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str, language: str = "") -> str:
    """Return a Markdown block of code with an empty line before and after it."""
    return f"\n```{language}\n{text.rstrip()}\n```\n\n"


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of code in a language."""
    return [found["text"] for found in _BLOCK.finditer(read(page)) if found["language"] == language]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words after `blaxel-mcp` of each command in a block of shell, or after a prompt."""
    for words in _lines_of_words(text):
        for index, word in enumerate(words):
            if word.rpartition("/")[2] == _PROGRAM and _begins_a_command(words[:index]):
                rest = words[index + 1 :]
                end = next((place for place, other in enumerate(rest) if other in _ENDS_A_COMMAND), len(rest))
                yield rest[:end]


def _lines_of_words(text: str) -> Iterator[list[str]]:
    """Yield the words of each line; a line with an open quotation continues on the next one."""
    begun = ""
    for line in text.replace("\\\n", " ").splitlines():
        begun += line.removeprefix("$ ")
        lexer = shlex.shlex(begun, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            yield list(lexer)
        except ValueError:
            begun += "\n"
        else:
            begun = ""
    assert not begun, f"a quotation is not closed: {begun}"


def _begins_a_command(before: list[str]) -> bool:
    """Return whether a word is the name of a program: the first, or after the end of a command or a variable."""
    return not before or before[-1] in _ENDS_A_COMMAND - {">", ">>", "<", "2>"} or "=" in before[-1]


def links(page: Path) -> list[str]:
    """Return the links of a page into this repository: a path, an anchor, or both."""
    text = _BLOCK.sub("", read(page))
    return [found["target"] for found in _LINK.finditer(text) if "://" not in found["target"]]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = _HEADING.findall(_BLOCK.sub("", read(page)))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
