"""Commands as processes: with a closed stdout, pasted from their help, and on a terminal."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blaxel_mcp.budget.figures import Reservation, UsageTotals
from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.cli.commands import COMMANDS
from tests.support.ledgers import reserve, settle
from tests.support.terminal import on_a_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, shells and terminals are POSIX's here")

HELLO = '{"messages": [{"role": "user", "content": "What is 6 * 7?"}]}'
EXAMPLES_OF_RUN = [example for command in COMMANDS if command.name == "run" for example in command.examples]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["models", "--demo"], id="models"),
        pytest.param(["usage"], id="usage"),
        pytest.param(["run", "house-chat", "--demo", "--data", HELLO], id="run"),
        pytest.param(["run", "house-chat", "--demo", "--data", HELLO, "--stream"], id="run --stream"),
        pytest.param(["doctor", "--demo"], id="doctor"),
        pytest.param(["demo"], id="demo"),
    ],
)
def test_a_command_with_a_closed_stdout_ends_without_a_message(words: list[str], home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    reading, writing = os.pipe()
    os.close(reading)

    command = [sys.executable, "-m", "blaxel_mcp", *words]
    finished = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=50, check=False)
    os.close(writing)

    assert (finished.returncode, finished.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        pytest.param(["models", "--demo"], "", id="models"),
        pytest.param(["models", "--demo", "--json"], "", id="models --json"),
        pytest.param(["usage"], "", id="usage"),
        pytest.param(["install"], "", id="install"),
        pytest.param(["init", "--empty", "--print"], "", id="init"),
        pytest.param(["doctor", "--demo"], "", id="doctor"),
        pytest.param(["emulator", "--list-faults"], "", id="emulator"),
        pytest.param(["--help"], "", id="help"),
        pytest.param(["run", "house-chat", "--demo", "hi"], " The call may have been billed;", id="run"),
    ],
)
def test_a_full_disk_under_stdout_is_one_line_and_a_failure(words: list[str], hint: str, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [sys.executable, "-m", "blaxel_mcp", *words]

    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=50, check=False
        )

    lines = finished.stderr.decode().splitlines()
    assert finished.returncode == 1
    assert [line for line in lines if not line.startswith("Every setting")] == [
        line for line in lines if "cannot be written" in line
    ]
    assert f"The output cannot be written: No space left on device.{hint}" in lines[-1]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["run", "house-chat", "--demo", "--data", "-"], 2, b"is not JSON"),
        (["run", "house-chat", "--demo"], 1, b"blaxel-mcp: "),
    ],
    ids=["data from nowhere", "a question from nowhere"],
)
def test_a_command_without_standard_input_reports_what_is_missing(
    words: list[str], code: int, told: bytes, home: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = shlex.join([sys.executable, "-m", "blaxel_mcp", *words])

    finished = subprocess.run(  # noqa: S602 - our own words
        f"{command} <&-",
        shell=True,
        env=environment,
        capture_output=True,
        timeout=50,
        check=False,
    )

    assert (finished.returncode, finished.stdout) == (code, b"")
    assert told in finished.stderr
    assert b"Traceback" not in finished.stderr


@pytest.mark.parametrize("example", EXAMPLES_OF_RUN)
def test_an_example_of_run_works_when_pasted(example: str, home: Path) -> None:
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": search_path, "HOME": str(home)}

    finished = subprocess.run(example, shell=True, env=environment, capture_output=True, timeout=30, check=False)  # noqa: S602 - our own words

    assert (finished.returncode, finished.stderr) == (0, b"")
    assert finished.stdout


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", ["models", "doctor", "install"])
def test_a_narrow_terminal_breaks_no_word(command: str, columns: int, home: Path) -> None:
    lines = plain(on_a_terminal(command, "--demo", home=home, COLUMNS=str(columns))).splitlines()

    # A single word, such as a URL, or a command to copy may be longer than a line.
    long = [line for line in lines if len(line) > columns and re.search(r"\S \S", line.strip()) and "`" not in line]
    assert long == []
    assert any(line.startswith("  chat-completions at /v1/chat/completions") for line in lines) == (command == "models")


def test_a_table_in_a_pipe_ends_no_line_in_blanks(home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [sys.executable, "-m", "blaxel_mcp", "models", "--demo"]

    lines = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=True).stdout

    assert [line for line in lines.splitlines() if line != line.rstrip()] == []
    assert re.search(r"^house-chat +house-chat +chat-completions +/v1/chat/completions +DEPLOYED$", lines, re.MULTILINE)


def test_usage_shows_a_chart_on_a_terminal(home: Path) -> None:
    today = datetime.now(UTC).date()
    ledger = Ledger(default_ledger())
    for days_ago, nano_usd in ((0, 2_700_000), (1, 1_350_000)):
        day = (today - timedelta(days=days_ago)).isoformat()
        entry = Reservation(call_id=day, day=day, account="", key=("acme", "chat"), tokens=0, nano_usd=0)
        reserve(ledger, entry)
        settle(ledger, entry, UsageTotals(calls=1, total_tokens=6000, nano_usd=nano_usd))
    ledger.close()

    shown = on_a_terminal("usage", home=home, COLUMNS="100")

    assert "USD a day" in shown
    assert f"{today}  {'█' * 24}  0.0027" in shown
    assert f"{today - timedelta(days=1)}  {'█' * 12}{' ' * 12}  0.0014" in shown


def plain(shown: str) -> str:
    """What a terminal shows, without the sequences that it obeys."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_a_question_on_a_terminal_gets_text_and_a_line_with_its_cost(home: Path) -> None:
    shown = plain(
        on_a_terminal("run", "house-chat", "What is 17 * 23?", "--demo", home=home, stderr=True, COLUMNS="60")
    )

    *_, answer, receipt = shown.strip().splitlines()
    assert answer.endswith("17 * 23 = 391")
    assert re.fullmatch(r"10 tokens \(5 in, 5 out\), 0\.000004 USD, [\d.]+ s, request emulator-\d+", receipt)


@pytest.mark.parametrize(
    ("model", "name"), [("house-painter", "house-painter.png"), ("house-embed", "house-embed.json")]
)
def test_a_picture_or_a_vector_on_a_terminal_becomes_a_file_whose_name_is_printed(
    model: str, name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--json"]):
        shown = plain(on_a_terminal("run", model, "a house", "--demo", *more, home=home, stderr=True, COLUMNS="60"))
        assert len(shown) < 2000
        assert str(tmp_path) in shown

    assert (tmp_path / name).stat().st_size > 1000


def test_without_a_question_a_terminal_gets_the_command_to_type(home: Path) -> None:
    shown = on_a_terminal("run", "house-chat", "--demo", home=home, stderr=True, typed=b"x", code=2)

    assert 'blaxel-mcp run house-chat "text"' in shown


def test_the_server_on_a_terminal_says_what_to_type_instead_and_serves_on(home: Path) -> None:
    shown = on_a_terminal("serve", "--demo", home=home, stderr=True, typed=b"\x04")

    assert "This is an MCP server" in shown
    assert "blaxel-mcp install CLIENT" in shown


def test_answers_to_compare_stand_side_by_side_on_a_wide_terminal(home: Path) -> None:
    words = ["compare", "house-chat", "house-claude", "What is 17 * 23?", "--demo"]

    wide = plain(on_a_terminal(*words, home=home, stderr=True, COLUMNS="80")).splitlines()
    narrow = plain(on_a_terminal(*words, home=home, stderr=True, COLUMNS="40")).splitlines()

    assert any(line.split() == ["17", "*", "23", "=", "391"] * 2 for line in wide)
    assert not any(line.split() == ["17", "*", "23", "=", "391"] * 2 for line in narrow)


def test_an_interrupted_comparison_keeps_the_answers_that_are_complete(home: Path) -> None:
    import pty  # noqa: PLC0415 - there is none on Windows

    words = ["compare", "fault-slow-30s", "house-chat", "Hi", "--demo"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color"}
    reading, writing = pty.openpty()
    command = [sys.executable, "-m", "blaxel_mcp", *words]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(writing)
        shown = b""
        while b"request emulator-" not in shown:
            shown += os.read(reading, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):
            while chunk := os.read(reading, 65536):
                shown += chunk
        assert process.wait(60) == 130
    os.close(reading)

    # The table that followed the calls is erased.
    last = plain(shown.decode().rpartition("\x1b[2K")[2])
    assert 'You said: "Hi"' in " ".join(last.split())
    assert "fault-slow-30s" not in last


COMPLETED = [
    (["ru"], ["run"]),
    (["run", "--sy"], ["--system"]),
    (["run", "hou"], ["house-chat"]),
    (["install", "curs"], ["cursor"]),
]


@pytest.mark.parametrize(("typed", "completed"), COMPLETED)
def test_bash_completes_commands_options_models_and_clients(typed: list[str], completed: list[str], home: Path) -> None:
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    models = '[{"name": "house-chat", "api": "chat-completions"}]'
    script = (
        'source <(blaxel-mcp completion bash); function=$(complete -p blaxel-mcp | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
        'COMP_WORDS=(blaxel-mcp "$@"); COMP_CWORD=$#; COMP_LINE="blaxel-mcp $*"; "$function"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    finished = subprocess.run(
        ["/bin/bash", "-c", script, "bash", *typed],
        env={"PATH": search_path, "HOME": str(home), "BLAXEL_MCP_MODELS": models},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert finished.stdout.split() == completed


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("typed", "completed"), COMPLETED)
def test_fish_completes_them_too(typed: list[str], completed: list[str], home: Path) -> None:
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    models = '[{"name": "house-chat", "api": "chat-completions"}]'
    script = f'blaxel-mcp completion fish | source; complete -C "blaxel-mcp {" ".join(typed)}"'

    finished = subprocess.run(
        [shutil.which("fish") or "", "-c", script],
        env={"PATH": search_path, "HOME": str(home), "BLAXEL_MCP_MODELS": models},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert [line.partition("\t")[0] for line in finished.stdout.splitlines()] == completed
