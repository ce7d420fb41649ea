"""Commands as processes: with a closed stdout, pasted from their help, and on a terminal."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blaxel_mcp.budget.figures import Reservation, UsageTotals
from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.cli.parser import COMMANDS
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


@pytest.mark.parametrize("example", EXAMPLES_OF_RUN)
def test_an_example_of_run_works_when_pasted(example: str, home: Path) -> None:
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": search_path, "HOME": str(home)}

    finished = subprocess.run(example, shell=True, env=environment, capture_output=True, timeout=30, check=False)  # noqa: S602 - our own words

    assert (finished.returncode, finished.stderr) == (0, b"")
    assert finished.stdout


def test_usage_shows_a_chart_on_a_terminal(home: Path) -> None:
    today = datetime.now(UTC).date()
    ledger = Ledger(default_ledger())
    for days_ago, nano_usd in ((0, 2_700_000), (1, 1_350_000)):
        day = (today - timedelta(days=days_ago)).isoformat()
        entry = Reservation(call_id=day, day=day, account="", key=("acme", "chat"), tokens=0, nano_usd=0)
        ledger.reserve(entry, lambda _: None)
        ledger.settle(entry, UsageTotals(calls=1, total_tokens=6000, nano_usd=nano_usd))
    ledger.close()

    shown = on_a_terminal("usage", home=home, COLUMNS="100")

    assert "USD a day" in shown
    assert f"{today}  {'█' * 24}  0.0027" in shown
    assert f"{today - timedelta(days=1)}  {'█' * 12}{' ' * 12}  0.0014" in shown
