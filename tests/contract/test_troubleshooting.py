"""docs/troubleshooting.md quotes messages of the code and lists the checks of doctor."""

import re
from functools import cache

import pytest

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import ERROR_CODES
from blaxel_mcp.setup.doctor.checks import Finding, ok, report
from blaxel_mcp.setup.doctor.runner import CALLS, PLAN
from tests.support.sources import ROOT, texts, trees

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
CHECKS, _, MESSAGES = PAGE.partition("## By message")


@cache
def texts_of_the_code() -> tuple[str, ...]:
    return tuple(text for tree in trees().values() for _, text in texts(tree))


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|-")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def quoted() -> list[str]:
    """Return the quoted messages in the tables of messages."""
    return [row[0].strip("`") for row in rows(MESSAGES) if row[0].startswith("`")]


@pytest.mark.parametrize("message", quoted())
def test_every_message_is_one_that_the_code_has(message: str) -> None:
    if re.fullmatch("[a-z_]+", message):
        assert message in ERROR_CODES
        return
    parts = [part.strip() for part in message.split("...") if part.strip(" ?")]

    assert parts
    for part in parts:
        assert any(part in text for text in texts_of_the_code()), part


def test_no_message_is_explained_twice() -> None:
    assert len(set(quoted())) == len(quoted())


def test_every_row_has_a_cause_and_a_fix() -> None:
    for row in rows(MESSAGES):
        assert len(row) == 3
        assert all(row)


def test_the_checks_and_their_dependencies_are_those_of_doctor() -> None:
    table = {row[0].split(",")[0].strip("`"): re.findall(r"`(\w+)`", row[2]) for row in rows(CHECKS)[1:]}

    assert table == {check.id: list(check.needs) for check in (*PLAN, CALLS)}
    assert list(table) == [check.id for check in (*PLAN, CALLS)]


def test_the_json_on_the_page_has_the_fields_of_the_report() -> None:
    (shown,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    made = report([Finding("settings", "Settings", ok("..."))])

    assert shown == str(made).replace("'", '"').replace("True", "true")
    assert f'"version": "{__version__}"' in shown
