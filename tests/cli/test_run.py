"""What `run` prints: verbatim into a pipe, and on a terminal nothing that it obeys."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from blaxel_mcp.cli.console import folded, waiting
from blaxel_mcp.cli.main import main, print_error
from blaxel_mcp.cli.run_output import TextPrinter, print_answer
from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer

EVIL = "\x1b]0;owned\x07\x1b]52;c;eA==\x07\x9b8mhidden\u202e\x7f\n"
CONTROLS = ("\x1b", "\x07", "\x9b", "\u202e", "\x7f")


class Terminal(io.StringIO):
    """What a terminal gets."""

    def isatty(self) -> bool:
        return True


@contextmanager
def on_terminal() -> Iterator[Terminal]:
    """Have stdout and stderr be one terminal, as pytest would not let a fixture do."""
    with redirect_stdout(Terminal()) as shown, redirect_stderr(shown):
        yield shown


def shown_in_full(answer: Answer, model: str) -> None:
    print_answer(answer, model, None, None, as_json=True, printed=False)


@pytest.mark.parametrize("answer", [TextAnswer(EVIL), JSONAnswer(f'"{EVIL[9:30]}"', "")])
def test_an_answer_controls_no_terminal(answer: TextAnswer | JSONAnswer) -> None:
    with on_terminal() as terminal:
        shown_in_full(answer, "m")

    shown = terminal.getvalue()
    assert not any(control in shown for control in CONTROLS)
    assert "hidden" in shown or "owned" in shown or "c;eA==" in shown


def test_a_pipe_gets_the_answer_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    shown_in_full(TextAnswer(EVIL), "m")

    assert capsys.readouterr().out == f"{EVIL}\n"


def test_a_sequence_that_comes_in_pieces_controls_no_terminal() -> None:
    with waiting("asking") as progress, on_terminal() as terminal:
        printer = TextPrinter(progress)
        for end in range(1, len(EVIL) + 1):
            printer(EVIL[:end])

    shown = terminal.getvalue()
    assert not any(control in shown for control in CONTROLS)
    assert printer.printed == len(EVIL)


def test_folded_text_and_a_note_on_an_entry_control_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {EVIL: {"command": "blaxel-mcp"}}}))

    with on_terminal() as terminal:
        assert main(["install", "cursor", "--demo", "--remove", "--file", str(file)]) == 0
        terminal.write(folded(EVIL, 20))

    assert terminal.getvalue().count("\\u001b]0;owned") == 3
    assert not any(control in terminal.getvalue() for control in CONTROLS)


def test_an_error_controls_no_terminal() -> None:
    with on_terminal() as terminal:
        print_error(UpstreamError(EVIL, code="provider_error", origin="provider"))

    assert not any(control in terminal.getvalue() for control in CONTROLS)


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("image/png", "m.png"),
        ("application/x-sh.desktop", "m.bin"),
        ("x/..\\..\\startup\\evil.bat", "m.bin"),
    ],
)
def test_a_binary_answer_is_saved_under_a_name_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, media_type: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")

    with on_terminal() as terminal:
        shown_in_full(BinaryAnswer(b"\x00\xff", media_type), "m")

    saved = tmp_path / name.replace(".", "-2.")
    assert saved.read_bytes() == b"\x00\xff"
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"
    assert f"is saved as {saved}." in terminal.getvalue()
