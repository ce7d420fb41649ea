"""`blaxel-mcp init`: a first settings file that loads as it stands, whatever the control plane says."""

import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.records import ModelRecord, read_record
from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.platform.records import EmulatedModel
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.settings_file import KEY_MARK, first_settings
from tests.support.canaries import KEY, MARKER, WRONG_KEY

pytestmark = pytest.mark.anyio

Init = Callable[..., Any]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def init(capfd: pytest.CaptureFixture[str]) -> Init:
    async def run(*words: str) -> Ended:
        with anyio.fail_after(30):
            code = await anyio.to_thread.run_sync(main, ["init", *words])
        sys.stdout.flush()
        return Ended(code, *capfd.readouterr())

    return run


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A workspace that the environment leads to."""
    for name, value in (("RUN_URL", emulator.run_url), ("API_URL", emulator.api_url), ("WORKSPACE", "demo")):
        monkeypatch.setenv(f"BL_{name}", value)
    monkeypatch.setenv("BL_API_KEY", KEY)
    return emulator


def toml_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.toml*"))


def loaded(file: Path) -> Configuration:
    config = load_settings(config_file=file, environ={})
    assert config.warnings == ()
    return config


async def test_the_file_has_an_entry_for_each_model_and_calls_it_as_discovery_would(
    account: Emulator, init: Init
) -> None:
    ended = await init()

    file = default_settings_path()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"Written: {file}",
        f"Workspace demo: {len(account.models)} models have a tool.",
        "Models created later get no tool; `enabled = true` under [discovery] in the file changes that.",
        "Credentials: BL_API_KEY. They are not in the file.",
        "Next: `blaxel-mcp doctor` checks the settings, `blaxel-mcp install CLIENT` adds the server to a client.",
    ]
    config = loaded(file)
    records = [read_record(record.to_json("demo", account.url)) for record in account.models.values()]
    discovered = build_catalog(Settings(workspace="demo"), [record for record in records if record]).entries
    assert config.settings.workspace == "demo"
    assert _calls(build_catalog(config.settings).entries) == _calls(discovered)
    assert MARKER not in file.read_text()


def _calls(entries: Any) -> list[tuple[str, str, str, str | None, str]]:
    return [(entry.name, entry.tool, entry.api.name, entry.path, entry.description) for entry in entries]


@pytest.mark.skipif(sys.platform == "win32", reason="the modes are POSIX's")
@pytest.mark.usefixtures("account")
async def test_the_file_is_this_users_alone_and_nothing_is_left_beside_it(init: Init) -> None:
    await init()

    file = default_settings_path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.usefixtures("account")
async def test_a_file_that_is_there_is_left_alone(init: Init, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("# mine\n")

    ended = await init("--config", str(file))

    assert (ended.code, ended.out) == (2, "")
    assert f"There is a settings file already: {file}. Nothing was written. --force replaces it" in ended.err
    assert (file.read_text(), toml_files(tmp_path)) == ("# mine\n", [file])


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.bak"))


@pytest.mark.usefixtures("account")
async def test_with_force_every_file_that_was_there_is_kept_beside_it(init: Init, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("this is [ no TOML")

    first = await init("--config", str(file), "--force")
    file.write_text("# the second\n")
    second = await init("--config", str(file), "--force")

    kept = backups(tmp_path)
    assert f"Backup of the previous file: {kept[0]}" in first.out
    assert f"{kept[1]}\n" in second.out
    assert [copy.read_text() for copy in kept] == ["this is [ no TOML", "# the second\n"]
    assert loaded(file).settings.workspace == "demo"
    assert f"`blaxel-mcp doctor --config {file}`" in second.out


@pytest.mark.usefixtures("account")
async def test_a_link_to_the_file_stays_a_link(init: Init, tmp_path: Path) -> None:
    link, file = tmp_path / "link.toml", tmp_path / "file.toml"
    file.write_text("# old\n")
    link.symlink_to(file)

    await init("--config", str(link), "--force")

    assert link.is_symlink()
    assert loaded(file).settings.workspace == "demo"


async def test_the_file_that_the_environment_names_is_the_one_that_is_written(
    account: Emulator, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_CONFIG", str(tmp_path / "new folder" / "named.toml"))

    ended = await init()

    assert ended.code == 0
    assert len(loaded(tmp_path / "new folder" / "named.toml").settings.models) == len(account.models)
    assert not default_settings_path().exists()


@pytest.mark.usefixtures("account")
async def test_print_prints_the_file_and_writes_nothing(init: Init, home: Path) -> None:
    ended = await init("--print")

    assert tomllib.loads(ended.out)["workspace"] == "demo"
    assert ended.err.startswith("Workspace demo: ")
    assert toml_files(home) == []


UNREADABLE = pytest.mark.parametrize(
    ("variables", "cause"),
    [
        pytest.param({"BL_API_KEY": ""}, "There are no Blaxel credentials for workspace demo", id="no credentials"),
        pytest.param({"BL_WORKSPACE": ""}, "No Blaxel workspace is set", id="no workspace"),
        pytest.param({"BL_API_KEY": WRONG_KEY}, "The credentials came from BL_API_KEY.", id="a wrong key"),
        pytest.param({"BL_WORKSPACE": "elsewhere"}, "Check the workspace name", id="a wrong workspace"),
        pytest.param({"BL_API_URL": "https://api.acme.invalid/v0"}, "its name could not be resolved", id="no network"),
        pytest.param(
            {"BL_API_KEY": "", "BLAXEL_MCP_API_KEY_COMMAND": '["no-such-program"]'},
            "The command 'no-such-program'",
            id="a key command that is not installed",
        ),
    ],
)


@pytest.mark.parametrize("words", [[], ["--print"], ["--force"]])
@UNREADABLE
@pytest.mark.usefixtures("account")
async def test_a_workspace_that_cannot_be_read_is_a_failure_with_its_cause_and_nothing_is_written(
    init: Init, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cause: str, words: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    ended = await init(*words)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count(cause) == 1
    assert "WARNING" not in ended.err
    assert "Nothing was written; `blaxel-mcp init --empty` writes a file without asking Blaxel." in ended.err
    assert toml_files(Path.home()) == []


@pytest.mark.usefixtures("account")
async def test_a_forbidden_control_plane_is_not_queried(init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_DISCOVERY__ENABLED", "false")

    ended = await init()

    assert (ended.code, ended.out) == (1, "")
    assert "discovery.enabled is false" in ended.err


async def test_an_empty_file_needs_no_account_and_sets_nothing(init: Init) -> None:
    ended = await init("--empty")

    file = default_settings_path()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[:2] == [
        f"Written: {file}",
        "Every setting in it is commented out. Without [[models]], each model in the workspace gets a tool.",
    ]
    config = loaded(file)
    assert (config.settings, config.sources) == (Settings(), {})


async def test_a_model_that_is_disabled_and_those_past_the_most_tools_are_written_and_not_put_in_force(
    account: Emulator, init: Init
) -> None:
    account.models = {name: EmulatedModel(name=name) for name in (f"model-{number:02}" for number in range(33))}
    account.models["model-00"] = EmulatedModel(name="model-00", enabled=False)

    ended = await init()

    text = default_settings_path().read_text()
    assert len(loaded(default_settings_path()).settings.models) == 29
    assert "1 commented out: disabled in Blaxel; 3 commented out: more than 30 models (tools.max_tools)" in ended.out
    assert f'{KEY_MARK}name = "model-00"' in text
    uncommented = "\n".join(line.removeprefix(KEY_MARK) for line in text.splitlines())
    assert len(tomllib.loads(uncommented)["models"]) == 33


@pytest.mark.parametrize("file", ["/", "/proc/none/such.toml", f"/{'a' * 300}"])
@pytest.mark.usefixtures("account")
async def test_a_place_that_cannot_be_written_is_a_mistake_that_is_told(init: Init, file: str) -> None:
    ended = await init("--config", file)

    assert (ended.code, ended.out) == (2, "")
    assert file in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.usefixtures("account")
async def test_what_is_not_a_file_is_not_replaced(init: Init, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    ended = await init("--force", "--config", str(tmp_path / "pipe"))

    assert (ended.code, ended.out) == (2, "")
    assert f"{tmp_path / 'pipe'} is not a regular file." in ended.err
    assert (tmp_path / "pipe").is_fifo()


async def test_the_demo_can_be_printed(init: Init) -> None:
    ended = await init("--demo", "--print")

    assert ended.code == 0
    assert tomllib.loads(ended.out)["workspace"] == "demo"


def test_five_hundred_models_are_written(tmp_path: Path) -> None:
    records = [
        ModelRecord(name=f"model-{number}", runtime_type="openai", display_name="x" * 80) for number in range(500)
    ]

    written = first_settings("demo", records)

    file = tmp_path / "config.toml"
    file.write_text(written.text, encoding="utf-8")
    assert len(loaded(file).settings.models) == len(written.listed) == 30
    assert len(written.left_out) == 470
    assert json.dumps(written.left_out).count("tools.max_tools") == 470
