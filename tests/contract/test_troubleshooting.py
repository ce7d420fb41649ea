"""docs/troubleshooting.md: the messages that it quotes are those of the code, and its checks are doctor's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import ERROR_CODES
from blaxel_mcp.setup.doctor import CALLS, PLAN, report
from blaxel_mcp.setup.doctor.findings import Finding, ok

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
CHECKS, _, MESSAGES = PAGE.partition("## By message")
GAP = "\0"


def texts() -> Iterator[str]:
    """Every text in the code that is no docstring, with a mark in the place of what is filled in."""
    for file in (ROOT / "blaxel_mcp").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in docstrings:
                continue
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEXTS = tuple(texts())


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|-")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def quoted() -> list[str]:
    """The first cells of the tables of messages that are messages, and not a thing that is seen."""
    return [row[0].strip("`") for row in rows(MESSAGES) if row[0].startswith("`")]


@pytest.mark.parametrize("message", quoted())
def test_every_message_is_one_that_the_code_has(message: str) -> None:
    if re.fullmatch("[a-z_]+", message):
        assert message in ERROR_CODES
        return
    parts = [part.strip() for part in message.split("...") if part.strip(" ?")]

    assert parts
    for part in parts:
        assert any(part in text for text in TEXTS), part


def test_no_message_is_explained_twice() -> None:
    assert len(set(quoted())) == len(quoted())


def test_every_row_has_a_cause_and_what_mends_it() -> None:
    for row in rows(MESSAGES):
        assert len(row) == 3
        assert all(row)


def test_the_checks_and_what_they_need_are_those_of_the_plan() -> None:
    table = {row[0].split(",")[0].strip("`"): re.findall(r"`(\w+)`", row[2]) for row in rows(CHECKS)[1:]}

    assert table == {check.id: list(check.needs) for check in (*PLAN, CALLS)}
    assert list(table) == [check.id for check in (*PLAN, CALLS)]


def test_the_json_on_the_page_has_the_fields_of_the_report() -> None:
    (shown,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    made = report([Finding("settings", "Settings", ok("..."))])

    assert shown == str(made).replace("'", '"').replace("True", "true")
    assert f'"version": "{__version__}"' in shown
