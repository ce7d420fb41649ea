"""Commands in a folder whose files have the names of modules and programs: none of them is run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from blaxel_mcp.client.auth.key_command import run_key_command
from blaxel_mcp.core.exceptions import ConfigurationError
from tests.replicas.engines import needs_redis, running_redis, sharing
from tests.support.processes import ENDING_SECONDS, started

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="the programs here are scripts")]

SCRIPT = str(Path(sys.executable).with_name("blaxel-mcp"))

MODULES = (
    *("anyio", "asyncio", "encodings", "httpx", "json", "logging", "mcp", "multiprocessing", "pydantic", "runpy"),
    *("signal", "sitecustomize", "socket", "types", "usercustomize", "uvicorn", "blaxel_mcp/__init__"),
    *("blaxel_mcp/__main__", "multiprocessing/spawn", "mcp/__init__"),
)
PROGRAMS = ("blaxel-mcp", "op", "pass", "python", "python3", "security", "uv", "uvx")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: whatever of it is run makes the file `marker` in its parent."""
    folder = tmp_path / "clone"
    marker = tmp_path / "marker"
    for name in MODULES:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(marker)!r}, 'a').write({name + ' '!r})\n", encoding="utf-8")
    for name in PROGRAMS:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho program-{name} >>'{marker}'\necho bl_from_the_working_directory\n")
        path.chmod(0o755)
    (folder / "pyproject.toml").write_text('[project]\nname = "blaxel-mcp"\nversion = "9"\n', encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def was_run(hostile: Path) -> str:
    """What the working directory's files have written."""
    marker = hostile.with_name("marker")
    return marker.read_text(encoding="utf-8") if marker.exists() else ""


async def run(*words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    return await anyio.run_process(words, env=environment, check=False)


def test_the_folder_is_as_hostile_as_it_seems(hostile: Path) -> None:
    subprocess.run([sys.executable, "-m", "blaxel_mcp"], check=False, capture_output=True)

    assert was_run(hostile) != ""


def as_cursor(*command: str) -> Callable[[Path], None]:
    def write(home: Path) -> None:
        file = home / ".cursor" / "mcp.json"
        file.parent.mkdir()
        entry = {"command": command[0], "args": list(command[1:]), "env": {"BL_API_KEY": "bl_of_the_entry"}}
        file.write_text(json.dumps({"mcpServers": {"blaxel": entry}}), encoding="utf-8")

    return write


@pytest.mark.parametrize(
    "installed",
    [
        pytest.param(lambda _: None, id="no entry"),
        pytest.param(as_cursor(sys.executable, "-m", "blaxel_mcp", "serve"), id="module"),
        pytest.param(as_cursor(SCRIPT, "serve"), id="script"),
        pytest.param(as_cursor("./blaxel-mcp", "serve"), id="relative"),
    ],
)
async def test_doctor_runs_nothing_of_the_working_directory(
    installed: Callable[[Path], None], hostile: Path, home: Path
) -> None:
    installed(home)
    finished = await run(SCRIPT, "doctor", "--demo")

    assert was_run(hostile) == ""
    assert b"tools in" in finished.stdout


async def test_the_demo_runs_nothing_of_the_working_directory(hostile: Path) -> None:
    finished = await run(SCRIPT, "demo")

    assert (was_run(hostile), finished.returncode) == ("", 0)


@pytest.mark.parametrize("words", [(), ("install", "cursor"), ("models", "--demo"), ("run", "house-chat", "--demo")])
async def test_the_script_runs_nothing_of_the_working_directory(words: tuple[str, ...], hostile: Path) -> None:
    await run(SCRIPT, *words)

    assert was_run(hostile) == ""


@needs_redis
async def test_workers_run_nothing_of_the_working_directory(hostile: Path, tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        await _run_workers(sharing(redis))

    assert was_run(hostile) == ""


async def _run_workers(shared: dict[str, Any]) -> None:
    words = [SCRIPT, "serve", "--transport", "http", "--port", "0", "--workers", "2", "--log-level", "info"]
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "BL_WORKSPACE": "acme"}
    variables |= {f"BLAXEL_MCP_SHARED__{name.upper()}": str(value) for name, value in shared.items()}
    async with started(words, variables, stderr=subprocess.PIPE) as process:
        assert process.stderr
        log = b""
        with anyio.fail_after(60):
            while log.count(b"is serving") < 2:
                log += await process.stderr.receive()
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(ENDING_SECONDS):
            assert await process.wait() == 0


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter without our script beside it, as with `pip install --target`."""
    interpreter = tmp_path / "elsewhere" / "python3"
    interpreter.parent.mkdir()
    interpreter.symlink_to(sys.executable)
    home = Path(sys.executable).resolve().parent
    (tmp_path / "pyvenv.cfg").write_text(f"home = {home}\n", encoding="utf-8")
    return interpreter


async def test_what_install_writes_without_a_script_runs_nothing_of_the_working_directory(
    hostile: Path, home: Path, python: Path
) -> None:
    packages = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    variables = {"PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{packages}"}
    finished = await run(str(python), "-P", "-m", "blaxel_mcp", "install", "cursor", **variables)
    assert finished.returncode == 0, finished.stderr

    entry = json.loads((home / ".cursor" / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]["blaxel"]
    assert entry["args"][:3] == ["-P", "-m", "blaxel_mcp"]
    await run(entry["command"], *entry["args"], **variables)
    assert was_run(hostile) == ""


@pytest.mark.parametrize("path", ["", ".", ".:", ":", "./", "../clone"])
async def test_a_key_command_is_looked_up_on_path_alone(
    path: str, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}" if path else "")
    with pytest.raises(ConfigurationError, match="PATH"):
        await run_key_command(("op", "read"), source="test")

    assert was_run(hostile) == ""


@pytest.mark.parametrize("program", ["./op", "../clone/op", "sub/../op"])
async def test_a_key_command_with_a_relative_path_is_refused(program: str, hostile: Path) -> None:
    (hostile / "sub").mkdir()
    with pytest.raises(ConfigurationError, match="absolute path"):
        await run_key_command((program,), source="test")

    assert was_run(hostile) == ""


async def test_a_key_command_does_not_run_in_the_working_directory(hostile: Path) -> None:
    key = await run_key_command((sys.executable, "-c", "import json; print('bl_' + json.dumps(1))"), source="test")
    shell = shutil.which("sh")
    assert shell
    folder = await run_key_command((shell, "-c", "pwd"), source="test")

    assert key.value.get_secret_value() == "bl_1"
    assert folder.value.get_secret_value().endswith("/home")
    assert was_run(hostile) == ""
