"""`blaxel-mcp doctor` as a whole command: the server that it starts, and what it prints for people."""

import json
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from blaxel_mcp import __version__
from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import MARKER
from tests.support.doctoring import dating, examine, lead_to
from tests.support.terminal import on_a_terminal

pytestmark = pytest.mark.anyio

Captured = pytest.CaptureFixture[bytes]


@pytest.fixture
def variables(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that leads to the emulator, in which a test can break one thing."""
    lead_to(emulator, monkeypatch)
    return monkeypatch


async def test_a_healthy_setup_passes_every_check(
    variables: pytest.MonkeyPatch, emulator: Emulator, capfdbinary: Captured
) -> None:
    async with dating(emulator, 0) as url:
        variables.setenv("BL_RUN_URL", url)
        variables.setenv("BL_API_URL", f"{url}/v0")
        examined = await examine(capfdbinary)

    assert (examined.code, examined.report["ok"], examined.report["version"]) == (0, True, __version__)
    assert {check["id"]: check["outcome"] for check in examined.report["checks"]} == {
        "settings": "ok",
        "workspace": "ok",
        "credentials": "ok",
        "proxy": "ok",
        "certificates": "ok",
        "names": "ok",
        "connection": "ok",
        "token": "ok",
        "clock": "ok",
        "access": "ok",
        "models": "ok",
        "model:house-chat": "ok",
        "ledger": "ok",
        "server": "ok",
        "footprint": "ok",
        "clients": "skipped",
        "versions": "ok",
    }
    assert set(examined.report["checks"][0]) == {"id", "title", "outcome", "found", "fix"}
    assert "workspace from BL_WORKSPACE" in examined.check("settings")["found"]
    assert examined.check("credentials")["found"] == "an API key (BL_API_KEY)"
    assert all(check["fix"] == "" for check in examined.report["checks"] if check["outcome"] == "ok")
    assert MARKER not in examined.text
    assert not [request for request in emulator.requests if request.method == "POST"]


async def test_a_list_of_tools_that_fills_the_context_is_a_warning_with_the_settings_that_shorten_it(
    variables: pytest.MonkeyPatch, capfdbinary: Captured
) -> None:
    models = [{"name": f"m-{number}", "description": "words " * 400} for number in range(30)]
    variables.setenv("BLAXEL_MCP_MODELS", json.dumps(models))
    variables.setenv("BLAXEL_MCP_DISCOVERY__ENABLED", "false")

    examined = await examine(capfdbinary)

    assert (examined.code, examined.ids("warning")) == (0, ["footprint"])
    assert "tools.max_tools" in examined.check("footprint")["fix"]


async def test_a_library_that_prints_at_the_start_fails_the_servers_own_handshake(
    variables: pytest.MonkeyPatch, capfdbinary: Captured, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('welcome')\n")
    variables.setenv("PYTHONPATH", str(tmp_path))

    examined = await examine(capfdbinary)

    assert "sitecustomize" in examined.fix_of_the_only_failure("server")
    assert "'welcome'" in examined.check("server")["found"]


async def test_the_demo_needs_no_settings_and_each_of_its_models_answers(capfdbinary: Captured) -> None:
    examined = await examine(capfdbinary, "--demo", "--call")

    assert (examined.code, examined.ids("failed"), examined.ids("warning")) == (0, [], [])
    calls = [check["id"] for check in examined.report["checks"] if check["id"].startswith("call:")]
    assert len(calls) == 12
    assert [name for name in calls if name in examined.ids("skipped")] == ["call:house-ears"]


async def test_people_see_each_result_with_its_fix_and_the_failures_once_more(
    variables: pytest.MonkeyPatch, capfdbinary: Captured
) -> None:
    variables.delenv("BL_API_KEY")

    with anyio.fail_after(50):
        code = await anyio.to_thread.run_sync(main, ["doctor", "--call"])

    sys.stdout.flush()
    out, err = capfdbinary.readouterr()
    lines = out.decode().splitlines()
    assert (code, err) == (1, b"")
    assert lines[0] == "--call sends one small request to each model, which costs the model's price."
    row = next(index for index, line in enumerate(lines) if line.startswith("FAILED   Credentials"))
    assert lines[row + 1].strip().startswith("fix: Set BL_API_KEY")
    assert lines[-1] == "failed: credentials"
    assert b"\x1b" not in out


@pytest.mark.skipif(sys.platform == "win32", reason="the terminal is a pseudo-terminal here")
def test_a_terminal_shows_the_check_that_is_running(home: Path) -> None:
    shown = on_a_terminal("doctor", "--demo", home=home, COLUMNS="160")

    # Once as its line, and before that each time that the running check was drawn.
    assert shown.count("This server over stdio") > 1
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
