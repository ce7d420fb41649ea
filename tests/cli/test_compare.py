"""`blaxel-mcp compare`: one question, several models, and one reservation for all."""

import base64
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator

QUESTION = "What is 17 * 23?"


@pytest.fixture(autouse=True)
def _nothing_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))


def calls_to_models(platform: Emulator) -> list[str]:
    return [request.raw_path.decode() for request in platform.requests if request.method == "POST"]


@pytest.mark.usefixtures("platform")
def test_the_answers_follow_each_other_in_a_pipe_with_tokens_cost_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "house-chat", "house-claude", QUESTION]) == 0

    first, second = capsys.readouterr().out.strip().split("\n\n")
    for block, model in ((first, "house-chat"), (second, "house-claude")):
        name, text, footer = block.splitlines()
        assert (name, text) == (model, "17 * 23 = 391")
        assert footer.startswith("10 tokens (5 in, 5 out), 0.0000")
        assert " USD, " in footer
        assert " s, request " in footer


def test_the_question_may_come_on_stdin(platform: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hi\n")))

    assert main(["compare", "house-chat", "house-claude"]) == 0
    assert len(calls_to_models(platform)) == 2


@pytest.mark.parametrize(
    ("last", "asked", "said"), [("house-gemini", 3, "Hi\n"), ("Translate:", 2, "Translate:\n\nHi\n")]
)
def test_beside_a_question_on_stdin_the_last_word_may_be_a_model(
    platform: Emulator, monkeypatch: pytest.MonkeyPatch, last: str, asked: int, said: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hi\n")))

    assert main(["compare", "house-chat", "house-claude", last]) == 0

    assert len(calls_to_models(platform)) == asked
    (body,) = [
        json.loads(request.body) for request in platform.requests if "house-chat" in request.path and request.body
    ]
    assert body["messages"] == [{"role": "user", "content": said.rstrip()}]


@pytest.mark.usefixtures("platform")
def test_pictures_sounds_and_vectors_become_files_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["compare", "house-painter", "house-voice", "house-embed", "a house"]) == 0

    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [block.splitlines()[1].split(",")[0] for block in blocks] == [
        "(image/png",
        "(audio/wav",
        "(application/json",
    ]
    files = {file.name: file.read_bytes()[:4] for file in tmp_path.iterdir() if file.is_file()}
    assert files == {"house-painter.png": b"\x89PNG", "house-voice.wav": b"RIFF", "house-embed.json": b'{"ob'}

    assert main(["compare", "house-painter", "house-embed", "a house", "--json"]) == 0

    painted, embedded = (json.loads(report["text"]) for report in json.loads(capsys.readouterr().out))
    assert base64.b64decode(painted["data"][0]["b64_json"])[:4] == b"\x89PNG"
    assert len(embedded["data"][0]["embedding"]) == 1536


@pytest.mark.usefixtures("platform")
def test_a_model_that_fails_leaves_the_others_their_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "fault-500", "house-chat", QUESTION, "--json"]) == 1

    failed, answered = json.loads(capsys.readouterr().out)
    assert failed["error"]["code"] == "upstream_error"
    assert failed["text"] is None
    assert answered["text"] == "17 * 23 = 391"
    assert answered["receipt"]["usage"]["total_tokens"] == 10


def test_without_budget_for_all_none_is_asked(
    platform: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__TOKENS_PER_DAY", "1500")

    assert main(["compare", "house-chat", "house-claude", QUESTION]) == 1

    assert "budget_exceeded" in capsys.readouterr().err
    assert calls_to_models(platform) == []
    used = Ledger(default_ledger()).used(datetime.now(UTC).date().isoformat(), "")
    assert dict(used) == {}


@pytest.mark.usefixtures("platform")
def test_with_budget_for_all_each_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__CALLS_PER_DAY", "2")

    assert main(["compare", "house-chat", "house-claude", QUESTION]) == 0

    used = Ledger(default_ledger()).used(datetime.now(UTC).date().isoformat(), "")
    assert {model: (totals.calls, totals.held_tokens) for (_, model), totals in used.items()} == {
        "house-chat": (1, 0),
        "house-claude": (1, 0),
    }


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["house-chat", "Hi"], "Two or more models", id="one model"),
        pytest.param(["house-chat", "house-embed", "Hi", "-s", "x"], "house-embed", id="a model without system texts"),
    ],
)
def test_a_mistake_is_reported_before_any_model_is_asked(
    platform: Emulator, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 2

    assert problem in capsys.readouterr().err
    assert calls_to_models(platform) == []
