"""Rules of plain English that a program can check, in the package, the README and the pages of docs/.

The rest of the rules is up to reviewers.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from blaxel_mcp.core import exceptions
from blaxel_mcp.settings import limits, models, schema
from blaxel_mcp.settings.types import Section, parts_of
from tests.support.docs_tables import setting_descriptions
from tests.support.sources import GAP, PACKAGE, ROOT, text_of, texts, trees, walked

AVOIDED = {
    r"mend(s|ed|ing)?": "fix",
    r"told": "reported, shown",
    r"(who|whom|whose|what)ever": "a noun: callers, anyone, any value",
    r"besides": "also, otherwise",
    r"sent again": "retried",
    r"(go|goes|going) before": "takes precedence over",
    r"whose side": "where the fault lies",
    r"under way": "in flight, running",
    r"left out|(leave|leaves|leaving) (it|them|that \w+|--\w+|`\w+`) out": "omitted, omit",
    r"for ever": "forever",
    r"any ?more": "no longer",
    r"(any|every|some)body": "anyone, everyone, someone",
    r"nobody knows": "unknown",
    r"in the place of": "in place of",
    r"at the least": "at least",
    r"(go|goes) by": "is named after, depends on",
    r"(col|behavi|fav|hon|neighb)ours?|licences?|catalogues?|centres?|grey|whilst|amongst": "the American spelling",
    r"(recogn|summar|normal|organ|serial|initial|author|optim|minim|maxim|custom|categor|standard|visual)"
    r"(ise|ises|ised|ising|isation)": "the American spelling",
}
"""Words to avoid, and what to write instead. MCP's own word `cancelled` stays."""

PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "config.example.toml")),
    *(ROOT / name for name in ("server.json", "packaging/mcpb/manifest.json", "fuzz/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)

LONGEST_SENTENCE = 28
"""Words of a sentence in a message; twenty-five is the aim."""

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


ANY_AVOIDED = re.compile(rf"\b(?:{'|'.join(AVOIDED)})\b", re.IGNORECASE)


def offenses(text: str) -> list[str]:
    """Return each word to avoid in a text, with what to write instead."""
    if not ANY_AVOIDED.search(text):
        return []
    return [
        f"{match[0]!r}: write {instead}"
        for pattern, instead in AVOIDED.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]


@cache
def strings() -> list[tuple[str, str]]:
    """Return each string of the package that is no docstring, and its place."""
    return [
        (f"{file.relative_to(PACKAGE)}:{line}", text) for file, tree in trees().items() for line, text in texts(tree)
    ]


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call in the package, and its place; the emulator speaks as Blaxel and its providers do."""
    for file, tree in trees().items():
        if file.relative_to(PACKAGE).parts[0] != "emulator":
            for node in walked(tree):
                if isinstance(node, ast.Call):
                    yield f"{file.relative_to(PACKAGE)}:{node.lineno}", node


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_no_string_of_the_package_has_a_word_to_avoid() -> None:
    found = [(place, offense) for place, text in strings() for offense in offenses(text)]

    assert found == []


def test_no_docstring_and_no_comment_has_a_word_to_avoid() -> None:
    found = [
        (f"{file.relative_to(PACKAGE)}:{number}", offense)
        for file in trees()
        if offenses(text := file.read_text(encoding="utf-8"))
        for number, line in enumerate(text.splitlines(), 1)
        for offense in offenses(line)
    ]

    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_has_a_word_to_avoid(page: Path) -> None:
    assert offenses(CODE.sub("", page.read_text(encoding="utf-8"))) == []


def test_a_sentence_of_a_message_is_short() -> None:
    # A string with a backslash is a regular expression.
    sentences = [
        (place, sentence)
        for place, text in strings()
        if not place.startswith("emulator/") and not set("\\\n") & set(text)
        for sentence in re.split(r"(?<=[.?!:;]) ", text)
    ]

    assert [found for found in sentences if len(found[1].split()) > LONGEST_SENTENCE] == []


ERRORS = {name for name, kind in vars(exceptions).items() if isinstance(kind, type)} | {"LedgerError"}


def test_the_messages_and_hints_of_our_errors_are_whole_sentences() -> None:
    said = [
        (place, text)
        for place, call in calls()
        if isinstance(call.func, ast.Name) and call.func.id in ERRORS
        for argument in (*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "hint"))
        if (text := text_of(argument))
    ]

    assert len(said) > 100
    assert [(place, text) for place, text in said if not text.endswith((".", "?", GAP))] == []


def test_descriptions_are_whole_sentences_and_the_help_of_an_option_is_not() -> None:
    said = [
        (place, keyword.arg, text)
        for place, call in calls()
        for keyword in call.keywords
        if keyword.arg in {"description", "help"} and (text := text_of(keyword.value)) and not text.endswith(GAP)
    ]

    assert {kind for _, kind, _ in said} == {"description", "help"}
    assert [found for found in said if found[2].endswith(".") != (found[1] == "description")] == []


def test_each_setting_has_a_description_of_whole_sentences() -> None:
    kinds = {**vars(limits), **vars(models), **vars(schema)}.values()
    tables = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section | schema.Settings)]
    described = [
        (table.__name__, key, setting_descriptions(table).get(key, ""))
        for table in tables
        for key, field in table.model_fields.items()
        if table is not schema.Settings or not any(part in tables for part in parts_of(field.annotation))
    ]

    assert len(described) > 60
    assert [found for found in described if not found[2].endswith(".")] == []


def test_the_words_are_found_wherever_they_stand() -> None:
    for text in ("Mend it.", "as the user was told", "its BEHAVIOUR", "whatever comes", "it is recognised"):
        assert len(offenses(text)) == 1, text
    for text in ("recommended", "amended", "fourth", "unfavorable", "cancelled", "otherwise", "exercised", "raised"):
        assert offenses(text) == [], text
