"""`blaxel-mcp calls`: what the ledger keeps of each call, for another process to read."""

import io
import json
import re
import sqlite3
from contextlib import closing, redirect_stdout

import pytest

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.cli.main import main
from tests.support.canaries import KEY


@pytest.fixture(autouse=True)
def _nothing_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))


@pytest.fixture
def called(platform: object, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001 - where the calls go
    for model in ("house-chat", "house-embed", "fault-500"):
        main(["run", model, "a secret question"])
    capsys.readouterr()


@pytest.mark.usefixtures("called")
def test_the_last_calls_are_listed_the_latest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "--json"]) == 0

    failed, embedding, chat = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in (failed, embedding, chat)] == ["fault-500", "house-embed", "house-chat"]
    assert (failed["outcome"], failed["status"], failed["tokens"]) == ("upstream_error", 500, None)
    assert (chat["outcome"], chat["status"], chat["tool"], chat["client"]) == ("ok", 200, "run", "blaxel-mcp")
    assert chat["tokens"] > 0
    assert chat["cost_usd"] > 0

    assert main(["calls"]) == 0
    table = capsys.readouterr().out
    assert [line for line in table.splitlines() if line != line.rstrip()] == []
    assert "<0.000001" in table

    assert main(["calls", "--last", "1"]) == 0
    _, row, *_ = capsys.readouterr().out.splitlines()
    assert row.split()[2:5] == ["fault-500", "run", "500"]
    assert row.split()[-1] == failed["call_id"]


class Terminal(io.StringIO):
    """A terminal that obeys nothing."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("called")
def test_in_a_narrow_terminal_a_call_has_three_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")

    with redirect_stdout(Terminal()) as terminal:
        assert main(["calls", "--last", "1"]) == 0

    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert re.match(
        r"[\d-]{10} [\d:]{8}  fault-500 \(run\)  500 upstream_error\n  unknown tokens, \S+ USD\n  call_\S+\n",
        shown,
    )


@pytest.mark.usefixtures("called")
def test_one_call_is_shown_with_its_receipt(capsys: pytest.CaptureFixture[str]) -> None:
    main(["calls", "--json", "--last", "1"])
    call_id = json.loads(capsys.readouterr().out)[0]["call_id"]

    assert main(["calls", "show", call_id, "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    assert (receipt["call_id"], receipt["attempts"]) == (call_id, 1)

    assert main(["calls", "show", call_id]) == 0
    assert f"blaxel://calls/{call_id}" in capsys.readouterr().out


@pytest.mark.usefixtures("called")
def test_no_question_answer_or_key_is_in_the_ledger() -> None:
    with closing(sqlite3.connect(default_ledger())) as connection:
        kept = "\n".join(connection.iterdump())

    assert "a secret question" not in kept
    assert "You said" not in kept
    assert KEY not in kept


@pytest.mark.usefixtures("called")
def test_a_call_that_is_not_there_gets_the_nearest_id(capsys: pytest.CaptureFixture[str]) -> None:
    main(["calls", "--json", "--last", "1"])
    call_id = json.loads(capsys.readouterr().out)[0]["call_id"]

    assert main(["calls", "show", call_id[:-1]]) == 1
    assert f"Did you mean {call_id!r}?" in capsys.readouterr().err
    assert main(["calls", "shw", call_id]) == 2
    assert "calls show ID" in capsys.readouterr().err


def test_without_calls_the_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls"]) == 0
    assert capsys.readouterr().out == "No calls are in the ledger.\n"


@pytest.mark.usefixtures("called")
def test_usage_names_the_clients(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--json"]) == 0

    (client,) = json.loads(capsys.readouterr().out)["clients"]
    assert (client["client"], client["calls"]) == ("blaxel-mcp", 3)


@pytest.mark.usefixtures("platform")
def test_a_ledger_of_the_version_before_is_used_on(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "house-chat", "Hi"])
    with closing(sqlite3.connect(default_ledger())) as connection:
        connection.executescript("DROP TABLE calls; DROP TABLE clients; PRAGMA user_version = 1")
    capsys.readouterr()

    assert main(["run", "house-chat", "Hi"]) == 0

    assert main(["usage", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert report["days"][0]["calls"] == 2
    assert report["clients"][0]["calls"] == 1
