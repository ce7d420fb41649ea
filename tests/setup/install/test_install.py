"""`blaxel-mcp install`, as its user meets it."""

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from blaxel_mcp.cli.main import main
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.install import json_parser
from blaxel_mcp.setup.install.change import addition
from blaxel_mcp.setup.install.clients import CLIENTS, UserDirs, client_named
from blaxel_mcp.setup.install.entries import Launch
from blaxel_mcp.setup.install.file import edit_lock
from tests.support.canaries import CLIENT_CREDENTIALS, KEY

SCRIPT = str(Path(sys.executable).with_name("blaxel-mcp"))
NAMES = [client.name for client in CLIENTS]

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX's here")
each_client = pytest.mark.parametrize("client", NAMES)


@pytest.fixture(autouse=True)
def usual_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's that leads a client elsewhere."""
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace and a key in the shell's environment."""
    monkeypatch.setenv("BL_WORKSPACE", "acme")
    monkeypatch.setenv("BL_API_KEY", KEY)


def file_of(home: Path, client: str) -> Path:
    """A client's file on this platform; `test_install_clients` has those of each."""
    return client_named(client).file(UserDirs(home=home, platform=sys.platform))


def written(home: Path, client: str, name: str = "blaxel-models") -> dict[str, Any]:
    """The entry in a client's file."""
    text = file_of(home, client).read_text(encoding="utf-8")
    data = tomllib.loads(text) if client == "codex" else json.loads(text)
    entry: dict[str, Any] = data[client_named(client).key][name]
    return entry


def backups(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.name}.*.bak"))


def existing(home: Path, client: str, text: str) -> Path:
    file = file_of(home, client)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


# What is written


ENTRIES: dict[str, dict[str, Any]] = {
    "claude-desktop": {"env": {"BL_WORKSPACE": "acme"}},
    "claude-code": {"type": "stdio", "env": {"BL_WORKSPACE": "acme", "BL_API_KEY": "${BL_API_KEY}"}},
    "cursor": {"env": {"BL_WORKSPACE": "acme", "BL_API_KEY": "${env:BL_API_KEY}"}},
    "vscode": {"type": "stdio", "env": {"BL_WORKSPACE": "acme", "BL_API_KEY": "${input:blaxel-models-api-key}"}},
    "windsurf": {"env": {"BL_WORKSPACE": "acme", "BL_API_KEY": "${env:BL_API_KEY}"}},
    "zed": {"env": {"BL_WORKSPACE": "acme"}},
    "codex": {"env": {"BL_WORKSPACE": "acme"}, "env_vars": ["BL_API_KEY"]},
    "gemini-cli": {"env": {"BL_WORKSPACE": "acme", "BL_API_KEY": "$BL_API_KEY"}},
    "cline": {"env": {"BL_WORKSPACE": "acme"}},
}


@each_client
@pytest.mark.usefixtures("in_environment")
def test_a_client_gets_the_server_with_a_key_that_is_nowhere_in_its_file(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", client]) == 0

    assert written(home, client) == {"command": SCRIPT, "args": ["serve"], **ENTRIES[client]}
    out = capsys.readouterr().out
    assert out.startswith(
        f"Added blaxel-models to {file_of(home, client)}, a new file.\n{client_named(client).next_step}\n"
    )
    absent, key, *_ = out.split("note: ")[1:]
    assert absent.startswith(f"{client_named(client).title} was not found on this machine;")
    assert "BL_API_KEY" in key


@each_client
def test_credentials_that_the_server_finds_by_itself_put_no_variable_into_the_entry(client: str, home: Path) -> None:
    settings = home / ".config" / "blaxel-mcp" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'workspace = "acme"\napi_key = "{KEY}"\n', encoding="utf-8")
    settings.chmod(0o600)

    assert main(["install", client]) == 0

    assert written(home, client).keys() - {"type"} == {"command", "args"}


@pytest.mark.parametrize(
    ("client", "more"),
    [
        ("claude-code", {"env": {"BL_WORKSPACE": "${BL_WORKSPACE}", "BL_API_KEY": "${BL_API_KEY}"}}),
        ("codex", {"env_vars": ["BL_WORKSPACE", "BL_API_KEY"]}),
        ("claude-desktop", {}),
        (
            "vscode",
            {
                "env": {
                    "BL_WORKSPACE": "${input:blaxel-models-workspace}",
                    "BL_API_KEY": "${input:blaxel-models-api-key}",
                }
            },
        ),
    ],
)
def test_what_nothing_gives_is_asked_for_where_the_client_can(client: str, more: dict[str, Any], home: Path) -> None:
    assert main(["install", client]) == 0

    entry = written(home, client)
    entry.pop("type", None)
    assert entry == {"command": SCRIPT, "args": ["serve"], **more}


def test_vs_code_is_told_what_to_ask_its_user_for(home: Path) -> None:
    assert main(["install", "vscode"]) == 0

    assert json.loads(file_of(home, "vscode").read_text(encoding="utf-8"))["inputs"] == [
        {"type": "promptString", "id": "blaxel-models-api-key", "description": "Blaxel API key", "password": True},
        {"type": "promptString", "id": "blaxel-models-workspace", "description": "Blaxel workspace", "password": False},
    ]


@pytest.mark.usefixtures("in_environment")
def test_what_was_said_to_install_goes_on_to_the_server(home: Path, tmp_path: Path) -> None:
    settings = tmp_path / "our settings.toml"
    settings.write_text("[limits]\ntimeout_seconds = 5\n", encoding="utf-8")
    with_folder = os.path.relpath(settings)

    assert main(["install", "cursor", "--config", with_folder, "--workspace", "other"]) == 0

    entry = written(home, "cursor")
    assert entry["args"][:2] == ["serve", "--config"]
    assert Path(entry["args"][2]).is_absolute()
    assert Path(entry["args"][2]).samefile(settings)
    assert entry["args"][3:] == ["--workspace", "other"]
    assert entry["env"] == {"BL_API_KEY": "${env:BL_API_KEY}"}


@pytest.mark.parametrize("variable", ["BLAXEL_MCP_CONFIG", "XDG_CONFIG_HOME"])
def test_a_settings_file_that_only_this_shell_leads_to_is_named(
    variable: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "blaxel-mcp" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('workspace = "acme"\n', encoding="utf-8")
    monkeypatch.setenv(variable, str(settings if variable == "BLAXEL_MCP_CONFIG" else tmp_path))

    assert main(["install", "cursor"]) == 0

    assert written(home, "cursor")["args"] == ["serve", "--config", str(settings)]


@pytest.mark.usefixtures("in_environment")
def test_another_platform_than_blaxels_own_is_written_down_or_the_key_would_go_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BL_RUN_URL", "https://run.acme.example")
    monkeypatch.setenv("BL_API_URL", "${BL_API_URL}")
    monkeypatch.setenv("BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS", "5")

    assert main(["install", "cursor"]) == 0

    assert written(home, "cursor")["env"] == {
        "BL_WORKSPACE": "acme",
        "BL_RUN_URL": "https://run.acme.example",
        "BL_API_KEY": "${env:BL_API_KEY}",
    }
    left = "note: not in the entry, although set in this shell: BLAXEL_MCP_LIMITS__TIMEOUT_SECONDS. "
    assert left in capsys.readouterr().out


@pytest.mark.parametrize("option", [[], ["--print"]], ids=["write", "print"])
@pytest.mark.parametrize("words", [["cursor"], ["--all"]], ids=["one", "all"])
@pytest.mark.parametrize("variable", ["BL_RUN_URL", "BLAXEL_MCP_API_URL"])
@pytest.mark.usefixtures("in_environment")
def test_the_url_of_an_emulator_is_written_into_no_entry(
    variable: str,
    words: list[str],
    option: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:8400/v0")
    existing(Path.home(), "cursor", "{}")

    assert main(["install", *words, *option]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{variable} leads to this machine" in captured.err
    assert "use --demo" in captured.err
    assert file_of(Path.home(), "cursor").read_text(encoding="utf-8") == "{}"
    assert main(["install", "cursor", "--demo"]) == 0
    assert "127.0.0.1" not in file_of(Path.home(), "cursor").read_text(encoding="utf-8")


def test_a_key_in_a_variable_of_ours_is_forwarded_under_that_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_WORKSPACE", "acme")
    monkeypatch.setenv("BLAXEL_MCP_API_KEY", KEY)

    assert main(["install", "gemini-cli"]) == 0

    assert written(home, "gemini-cli")["env"] == {
        "BL_WORKSPACE": "acme",
        "BLAXEL_MCP_API_KEY": "$BLAXEL_MCP_API_KEY",
    }


@each_client
@pytest.mark.shows_secrets("the user asks for the key to be written")
@pytest.mark.usefixtures("in_environment")
def test_with_key_writes_the_key_says_so_and_prints_it_nowhere(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", client, "--with-key"]) == 0

    assert written(home, client)["env"] == {"BL_WORKSPACE": "acme", "BL_API_KEY": KEY}
    captured = capsys.readouterr()
    assert "note: the entry holds BL_API_KEY in clear text.\n" in captured.out
    assert KEY not in captured.out + captured.err


@pytest.mark.shows_secrets("the user asks for the credentials to be written")
def test_with_key_writes_client_credentials_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BL_CLIENT_CREDENTIALS", f" {CLIENT_CREDENTIALS}\n")

    assert main(["install", "cursor", "--with-key"]) == 0

    assert written(home, "cursor")["env"] == {
        "BL_CLIENT_CREDENTIALS": CLIENT_CREDENTIALS,
        "BL_WORKSPACE": "${env:BL_WORKSPACE}",
    }


@pytest.mark.shows_secrets("the user asks for the key to be written")
@pytest.mark.usefixtures("in_environment")
def test_without_with_key_the_key_goes_out_of_the_file_where_the_client_can_forward_it(home: Path) -> None:
    main(["install", "cursor", "--with-key"])

    assert main(["install", "cursor"]) == 0

    assert written(home, "cursor")["env"] == {"BL_WORKSPACE": "acme", "BL_API_KEY": "${env:BL_API_KEY}"}
    assert KEY not in file_of(home, "cursor").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "There are no Blaxel credentials for any workspace"),
        ('api_key_command = ["op", "read"]', "The key comes from a command"),
        ('api_key = "with space"', "cannot be sent"),
    ],
)
def test_a_key_that_cannot_be_written_is_told(
    settings: str, said: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(settings, encoding="utf-8")
    file.chmod(0o600)

    assert main(["install", "cursor", "--with-key", "--config", str(file)]) == 2

    assert said in capsys.readouterr().err
    assert not file_of(home, "cursor").exists()


def test_a_login_cannot_be_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    login = home / ".blaxel" / "config.yaml"
    login.parent.mkdir()
    login.write_text(
        "context: {workspace: acme}\n"
        f"workspaces: [{{name: acme, credentials: {{access_token: '{KEY}', refresh_token: '{KEY}'}}}}]\n",
        encoding="utf-8",
    )

    assert main(["install", "cursor", "--with-key"]) == 2
    assert "The credentials are a login" in capsys.readouterr().err
    assert main(["install", "cursor"]) == 0
    assert written(home, "cursor") == {"command": SCRIPT, "args": ["serve"]}


# What was there stays


@each_client
@pytest.mark.usefixtures("in_environment")
def test_a_second_run_changes_nothing_says_so_and_keeps_no_backup(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(home, client)
    main(["install", client])
    before, capsys_before = file.read_bytes(), capsys.readouterr()
    assert capsys_before.err == ""

    assert main(["install", client]) == 0

    assert file.read_bytes() == before
    assert backups(file) == []
    assert "is up to date; nothing was changed." in capsys.readouterr().out


COMMENTED = (
    "\ufeff// mine, all mine\r\n"
    "{\r\n"
    '\t"servers": {\r\n'
    '\t\t"other": { "command": "x", "args": [1.0e3, "\\u00e9é"], }, // é\r\n'
    "\t\t/* the end */\r\n"
    "\t},\r\n"
    '\t"dup": 1, "dup": 2,\r\n'
    "}\r\n"
    "// after"
)


def test_comments_order_digits_tabs_and_line_ends_stay_byte_for_byte(home: Path) -> None:
    file = existing(home, "vscode", COMMENTED)

    assert main(["install", "vscode", "--demo"]) == 0

    ours = (
        '\t\t"blaxel-models": {\r\n'
        '\t\t\t"type": "stdio",\r\n'
        f'\t\t\t"command": {json.dumps(SCRIPT)},\r\n'
        '\t\t\t"args": ["serve", "--demo"]\r\n'
        "\t\t},\r\n"
    )
    assert file.read_bytes().decode() == COMMENTED.replace("\t},\r\n", f"{ours}\t}},\r\n")
    assert [copy.read_bytes().decode() for copy in backups(file)] == [COMMENTED]

    assert main(["install", "vscode", "--remove"]) == 0

    assert file.read_bytes().decode() == COMMENTED
    assert len(backups(file)) == 2


def test_values_beside_the_table_of_servers_may_be_nested_deeper_than_those_in_it(home: Path) -> None:
    before = '{"mcpServers": {}, "a": ' + "[" * 300 + "1.0e3" + "]" * 300 + "}"
    file = existing(home, "claude-desktop", before)

    assert main(["install", "claude-desktop", "--demo"]) == 0

    ours = json.dumps({"blaxel-models": {"command": SCRIPT, "args": ["serve", "--demo"]}}, ensure_ascii=False)
    assert file.read_bytes().decode() == before.replace("{}", ours)


def calls_of_the_parser(change: Callable[[], object]) -> int:
    """How many functions of the JSON parser a change of a file calls."""
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename == json_parser.__file__

    sys.setprofile(count)
    try:
        change()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("client", ["claude-desktop", "claude-code", "cline"])
def test_what_a_client_keeps_beside_its_servers_costs_no_work_of_its_own(client: str, tmp_path: Path) -> None:
    launch = Launch(command=("/x/blaxel-mcp", "serve"))
    calls = []
    for turns in (1, 2000):
        history = {"projects": {"/p": {"history": [{"display": f"turn {turn}"} for turn in range(turns)]}}}
        file = tmp_path / f"{turns}.json"
        file.write_text(json.dumps({**history, "mcpServers": {"other": {"command": "x"}}}), encoding="utf-8")
        calls.append(calls_of_the_parser(partial(addition, client_named(client), file, launch, "blaxel-models")))

    assert calls[0] == calls[1] > 0


def test_toml_stays_as_it_is_written_around_our_section(home: Path) -> None:
    before = 'model = "o5" # best\n\n[tui] # look\ntheme = """\n[mcp_servers.blaxel-models]\n"""\n# the end\n'
    file = existing(home, "codex", before)

    assert main(["install", "codex", "--demo"]) == 0

    ours = f'\n[mcp_servers.blaxel-models]\ncommand = {json.dumps(SCRIPT)}\nargs = ["serve", "--demo"]\n'
    assert file.read_bytes().decode() == before + ours
    assert main(["install", "codex", "--remove"]) == 0
    assert file.read_bytes().decode() == before


@pytest.mark.usefixtures("in_environment")
def test_what_a_user_has_added_to_the_entry_stays(home: Path) -> None:
    existing(
        home,
        "cline",
        '{"mcpServers": {"blaxel-models": {"command": "uvx", "args": ["blaxel-mcp@0.3"], "timeout": 300, '
        '"autoApprove": ["house-chat"], "env": {"HTTPS_PROXY": "http://127.0.0.1:9"}}}}',
    )

    assert main(["install", "cline"]) == 0

    assert written(home, "cline") == {
        "command": SCRIPT,
        "args": ["serve"],
        "timeout": 300,
        "autoApprove": ["house-chat"],
        "env": {"HTTPS_PROXY": "http://127.0.0.1:9", "BL_WORKSPACE": "acme"},
    }


@pytest.mark.parametrize("client", ["claude-desktop", "claude-code"])
def test_a_key_written_by_hand_stays_as_long_as_there_is_nothing_in_its_place(client: str, home: Path) -> None:
    key = "somebody-elses-key"
    entry = {"command": "/old/blaxel-mcp", "env": {"BL_WORKSPACE": "acme", "BL_API_KEY": key}}
    existing(home, client, json.dumps({"mcpServers": {"blaxel-models": entry}}))

    assert main(["install", client]) == 0

    assert written(home, client)["command"] == SCRIPT
    assert written(home, client)["env"] == {"BL_WORKSPACE": "acme", "BL_API_KEY": key}


def test_a_key_written_by_hand_goes_once_the_server_has_another(home: Path, tmp_path: Path) -> None:
    entry = {"command": "/old/blaxel-mcp", "env": {"BL_API_KEY": "somebody-elses-key"}}
    existing(home, "claude-desktop", json.dumps({"mcpServers": {"blaxel-models": entry}}))
    settings = tmp_path / "config.toml"
    settings.write_text(f'api_key = "{KEY}"\nworkspace = "acme"\n', encoding="utf-8")
    settings.chmod(0o600)

    assert main(["install", "claude-desktop", "--config", str(settings)]) == 0

    assert "env" not in written(home, "claude-desktop")


def test_each_change_keeps_the_file_that_it_found_with_its_mode(home: Path) -> None:
    file = existing(home, "cursor", '{"mcpServers": {}}')
    file.chmod(0o640)

    main(["install", "cursor", "--demo"])
    first = file.read_bytes()
    main(["install", "cursor"])

    assert sorted(copy.read_bytes() for copy in backups(file)) == sorted([b'{"mcpServers": {}}', first])
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in (file, *backups(file))} == {0o640}


@posix
def test_a_new_file_and_its_folders_are_the_owners_alone(home: Path) -> None:
    assert main(["install", "windsurf"]) == 0

    file = file_of(home, "windsurf")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (file.parent, file.parent.parent)} == {0o700}


@posix
@pytest.mark.shows_secrets("the user asks for the key to be written")
@pytest.mark.usefixtures("in_environment")
@pytest.mark.parametrize("mode", [0o644, 0o664, 0o666, 0o640, 0o604])
def test_a_file_that_others_can_read_is_closed_to_them_before_a_key_is_in_it(
    mode: int, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = existing(home, "cursor", "{}")
    file.chmod(mode)
    modes = []
    flush = os.fsync

    def noting(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noting)

    assert main(["install", "cursor", "--with-key"]) == 0

    assert stat.S_IMODE(file.stat().st_mode) == mode & 0o700
    assert f"note: other users of this machine could read {file}; now only you can.\n" in capsys.readouterr().out
    # The backup and the new file.
    assert modes[:2] == [mode, mode & 0o700]

    file.chmod(mode)
    assert main(["install", "cursor", "--with-key"]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == mode & 0o700


def holding(folder: Path, secret: str) -> list[Path]:
    """The files below a folder that hold a secret."""
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_text(encoding="utf-8")]


@each_client
@pytest.mark.usefixtures("in_environment")
def test_a_removed_key_is_in_no_backup_either(client: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(home, client)
    main(["install", client, "--with-key"])
    # As an earlier version, or the user, may have left it.
    for name in ("20260101-000000.bak", "20260101-000000_2.bak"):
        file.with_name(f"{file.name}.{name}").write_bytes(file.read_bytes())
    capsys.readouterr()

    assert main(["install", client, "--remove"]) == 0

    assert holding(home, KEY) == []
    assert len(backups(file)) == 3
    out = capsys.readouterr().out
    assert "note: BL_API_KEY of the earlier entry is not in the backup either.\n" in out
    assert out.count("note: an earlier backup had credentials in it: ") == 2


def secret_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of the settings whose values are secret."""
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        if "SecretStr" in str(field.annotation):
            yield f"{prefix}{name}"
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from secret_keys(part, f"{prefix}{name}.")


def variables_of_secrets() -> list[str]:
    """Return the variables that can hold a secret: that of each key, and that of the table around it."""
    keys = set(secret_keys(Settings))
    keys = {"workspaces" if key.startswith("workspaces.") else key for key in keys}
    tables = {key.partition(".")[0] for key in keys if "." in key}
    return sorted(f"BLAXEL_MCP_{key.upper().replace('.', '__')}" for key in keys | tables)


@pytest.mark.parametrize("client", ["cursor", "codex"])
@posix
def test_a_path_of_any_characters_is_written_and_one_that_is_not_text_is_refused(
    client: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "a\x7f\x9b\u2028.toml"
    config.touch()
    assert main(["install", client, "--demo", "--config", str(config)]) == 0
    assert str(config) in written(home, client)["args"]

    for words in (["--print"], []):
        (tmp_path / "\udcff.toml").touch()
        capsys.readouterr()
        assert main(["install", client, "--demo", "--config", str(tmp_path / "\udcff.toml"), *words]) == 2
        assert "A path in the server's command is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"])
@posix
def test_a_folder_that_cannot_even_be_looked_at_does_not_end_the_command(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Root, as which tests may run, can look at every folder of a name that is short enough.
    monkeypatch.setenv(variable, f"/{'a' * 300}")
    (home / ".cursor").mkdir()

    assert main(["install"]) == 0
    assert main(["install", "--all", "--demo", "--config", "/dev/null"]) == 0

    captured = capsys.readouterr()
    assert "cannot be read (File name too long)." in captured.out
    assert (home / ".cursor" / "mcp.json").exists()
    assert captured.err == ""


@pytest.mark.parametrize("variable", ["BL_API_KEY", "BL_CLIENT_CREDENTIALS", *variables_of_secrets()])
def test_a_removed_secret_of_any_setting_is_in_no_backup(variable: str, home: Path) -> None:
    entry = {"command": "blaxel-mcp", "env": {variable: "a secret of this server", "OTHER": "x"}}
    file = existing(home, "cursor", json.dumps({"mcpServers": {"blaxel-models": entry}}))

    assert main(["install", "cursor", "--remove"]) == 0

    assert holding(home, "a secret of") == []
    (backup,) = backups(file)
    assert json.loads(backup.read_text())["mcpServers"]["blaxel-models"]["env"] == {"OTHER": "x"}


@pytest.mark.shows_secrets("the user asks for the key to be written")
@pytest.mark.usefixtures("in_environment")
def test_a_key_that_is_replaced_is_in_no_backup_and_the_rest_of_the_file_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = '{"theme": "dark", "mcpServers": {"other": {"command": "x", "env": {"BL_API_KEY": "theirs"}}}}'
    file = existing(home, "cursor", theirs)
    main(["install", "cursor", "--with-key"])
    monkeypatch.setenv("BL_API_KEY", f"{KEY}2")
    main(["install", "cursor", "--with-key"])
    texts = [json.loads(copy.read_text(encoding="utf-8")) for copy in backups(file)]
    texts.sort(key=lambda text: len(text["mcpServers"]))

    assert texts[0] == json.loads(theirs)
    assert texts[1]["mcpServers"].pop("blaxel-models")["env"] == {"BL_WORKSPACE": "acme"}
    assert texts[1] == json.loads(theirs)
    assert holding(home, KEY) == [file]


@pytest.mark.usefixtures("in_environment")
@pytest.mark.parametrize(
    "text",
    [
        "[mcp_servers.blaxel-models]\ncommand = 'blaxel-mcp'\nenv = {{ BL_API_KEY = '{key}', A = 'b' }}\n",
        "[mcp_servers.blaxel-models]\ncommand = 'blaxel-mcp'\nenv.BL_API_KEY = '{key}'\n",
        "[mcp_servers]\nblaxel-models = {{ command = 'blaxel-mcp', env = {{ BL_API_KEY = '{key}' }} }}\n",
    ],
)
def test_a_backup_whose_form_is_not_edited_keeps_no_key_either(text: str, home: Path) -> None:
    file = existing(home, "codex", "[mcp_servers.blaxel-models]\ncommand = 'blaxel-mcp'\n")
    old = file.with_name(f"{file.name}.20260101-000000.bak")
    old.write_text(text.format(key="bl_old_key_of_the_user"), encoding="utf-8")

    assert main(["install", "codex", "--remove"]) == 0

    assert holding(home, "bl_old_key_of_the_user") == []


def test_a_byte_order_mark_that_json_does_not_allow_is_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = existing(home, "claude-desktop", '\ufeff{"theme": "dark"}')

    assert main(["install", "claude-desktop", "--demo"]) == 0

    assert json.loads(file.read_bytes())["theme"] == "dark"
    assert "byte order mark" in capsys.readouterr().out


@posix
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_a_link_and_what_it_leads_to_is_changed(is_there: bool, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    if is_there:
        real.write_text("{}", encoding="utf-8")
    link = file_of(home, "cursor")
    link.parent.mkdir()
    link.symlink_to(real)

    assert main(["install", "cursor", "--demo"]) == 0

    assert link.is_symlink()
    assert json.loads(real.read_text(encoding="utf-8"))["mcpServers"]["blaxel-models"]["command"] == SCRIPT
    assert len(backups(real)) == is_there


# What is refused is left alone


MALFORMED: list[tuple[str, str, str, int, int]] = [
    ("no end", "claude-desktop", '{"mcpServers": {}', 1, 18),
    ("a comma is missing", "claude-desktop", '{\n  "a": 1\n  "b": 2\n}', 3, 3),
    ("a comment where none is taken", "claude-desktop", '{\r\n  "a": 1, // c\r\n}', 2, 11),
    ("a comma too many", "claude-desktop", '{"a": [1,]}', 1, 9),
    ("single quotes", "claude-desktop", "{'a': 1}", 1, 2),
    ("NaN", "claude-desktop", '{"a": NaN}', 1, 7),
    # Beside our key, the quick pass takes 0 for the value: the mistake is then the digit after it.
    ("a zero before a number", "claude-desktop", '{"a": 01}', 1, 8),
    ("a zero before a number, within", "claude-desktop", '{"mcpServers": 01}', 1, 16),
    ("a line break in a text", "claude-desktop", '{"é": "\n"}', 1, 7),
    ("two documents", "claude-desktop", "{} {}", 1, 4),
    ("too deep", "claude-desktop", '{"mcpServers":' + '{"a":' * 300 + "1" + "}" * 301, 1, 1010),
    ("a comment without an end", "cursor", '{"a": 1 /* }', 1, 9),
    ("two commas", "cursor", '{"a": 1,, }', 1, 9),
    ("TOML", "codex", 'a = 1\nb = "x\n', 2, 7),
    ("a table twice", "codex", "[a]\n[a]\n", 2, 3),
]


@pytest.mark.parametrize("case", MALFORMED, ids=[case[0] for case in MALFORMED])
@pytest.mark.parametrize("option", [[], ["--remove"]], ids=["add", "remove"])
def test_a_malformed_file_is_refused_with_line_and_column_and_left_as_it_is(
    case: tuple[str, str, str, int, int], option: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, client, text, line, column = case
    file = existing(home, client, text)

    assert main(["install", client, *option]) == 2

    told = capsys.readouterr().err
    assert f"{file} cannot be parsed at line {line}, column {column}: " in told
    assert file.read_bytes() == text.encode()
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_no_text_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = existing(home, "cursor", "")
    file.write_bytes(b'{\n "a": "\xff"}')

    assert main(["install", "cursor"]) == 2

    assert "at line 2, column 8: not UTF-8 text." in capsys.readouterr().err
    assert file.read_bytes() == b'{\n "a": "\xff"}'


@pytest.mark.parametrize(
    ("client", "text", "what"),
    [
        ("cursor", "[1, 2]", "{file}"),
        ("cursor", '{"mcpServers": []}', "mcpServers in {file}"),
        ("cursor", '{"mcpServers": "none"}', "mcpServers in {file}"),
        ("vscode", '{"inputs": {}}', "inputs in {file}"),
        ("codex", "mcp_servers = 1\n", "mcp_servers in {file}"),
    ],
)
def test_something_else_in_the_tables_place_is_refused(
    client: str, text: str, what: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = existing(home, client, text)

    assert main(["install", client]) == 2

    assert f"{what.format(file=file)} should be a table" in capsys.readouterr().err
    assert file.read_bytes() == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { other = { command = "x" } }\n',
        'mcp_servers.blaxel-models.command = "blaxel-mcp"\n',
        '[mcp_servers]\nblaxel-models = { command = "blaxel-mcp" }\n',
    ],
)
def test_toml_that_is_not_in_sections_is_refused_and_left_as_it_is(
    text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = existing(home, "codex", text)

    assert main(["install", "codex"]) == 2
    assert "inline tables or dotted keys" in capsys.readouterr().err
    assert file.read_bytes() == text.encode()


def test_an_inline_entry_is_taken_out_where_it_has_a_line_of_its_own(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = existing(
        home, "codex", '[mcp_servers]\nblaxel-models = { command = "blaxel-mcp" } # x\nother = { command = "x" }\n'
    )
    assert main(["install", "codex", "--remove"]) == 0
    assert file.read_bytes() == b'[mcp_servers]\nother = { command = "x" }\n'

    dotted = 'mcp_servers.blaxel-models.command = "blaxel-mcp"\n'
    file.write_text(dotted, encoding="utf-8")
    assert main(["install", "codex", "--remove"]) == 2
    assert "inline tables or dotted keys" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == dotted


@pytest.mark.parametrize("option", [[], ["--remove"]])
@pytest.mark.parametrize("entry", ['{"command": "npx", "args": ["other"]}', '{"url": "http://127.0.0.1/mcp"}', '"x"'])
def test_another_servers_entry_of_that_name_is_left_alone(
    entry: str, option: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'{{"mcpServers": {{"blaxel-models": {entry}}}}}'
    file = existing(home, "cursor", text)

    assert main(["install", "cursor", *option]) == 2

    assert "does not run blaxel-mcp. Nothing was changed. Choose another name with --name" in capsys.readouterr().err
    assert file.read_bytes() == text.encode()
    assert main(["install", "cursor", "--name", "models"]) == 0
    assert written(home, "cursor", "models")["command"] == SCRIPT


LIMITED = """
import resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from blaxel_mcp.cli.main import main
sys.exit(main(["install", "cursor", "--demo"]))
"""
"""A machine whose disk is full: no file can be larger than the given number of bytes."""


@posix
@pytest.mark.parametrize("limit", [pytest.param(600, id="the new file"), pytest.param(300, id="the backup")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(limit: int, home: Path) -> None:
    text = json.dumps({"mcpServers": {}, "filling": "x" * 500})
    file = existing(home, "cursor", text)

    command = [sys.executable, "-B", "-c", LIMITED, str(limit)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert finished.returncode == 2, finished.stderr
    assert f"{file} cannot be written" in finished.stderr
    assert file.read_text(encoding="utf-8") == text
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b'{"new": 1}', "in the meantime"), (b"\xff", "cannot be parsed at line 1, column 1")],
    ids=["JSON", "no text"],
)
def test_a_file_that_its_client_has_written_meanwhile_is_left_alone(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text("{}", encoding="utf-8")
    change = addition(client_named("cursor"), file, Launch(command=("/x/blaxel-mcp", "serve")), "blaxel-models")
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        change.apply()

    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file, tmp_path / "home"]


@posix
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_told(make: Callable[[Path], None], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file_of(home, "cursor").parent.mkdir()
    make(file_of(home, "cursor"))

    assert main(["install", "cursor"]) == 2

    assert "cannot be read (not a regular file). Nothing was changed." in capsys.readouterr().err


# Printing, removing, listing


@each_client
@pytest.mark.usefixtures("in_environment")
def test_print_shows_the_entry_and_the_file_and_writes_nothing(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", client, "--print", "--with-key"]) == 0

    head, _, snippet = capsys.readouterr().out.partition("\n\n")
    assert head == f"This would be written to {file_of(home, client)}:"
    data = tomllib.loads(snippet) if client == "codex" else json.loads(snippet)
    entry = data[client_named(client).key]["blaxel-models"]
    assert entry["env"] == {"BL_WORKSPACE": "acme", "BL_API_KEY": "(hidden)"}
    assert list(home.iterdir()) == []


@each_client
@pytest.mark.usefixtures("in_environment")
def test_remove_takes_out_what_install_has_put_in(client: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = existing(home, client, "" if client == "codex" else f'{{\n  "{client_named(client).key}": {{}}\n}}\n')
    before = file.read_bytes()
    main(["install", client])
    capsys.readouterr()

    assert main(["install", client, "--remove", "--print"]) == 0
    assert capsys.readouterr().out == f"blaxel-models would be removed from {file}.\n"
    assert main(["install", client, "--remove"]) == 0
    assert capsys.readouterr().out.startswith(
        f"Removed blaxel-models from {file}; backup of the previous file: {backups(file)[-1]}\n"
    )

    assert file.read_bytes().replace(b',\n  "inputs": []', b"") == before
    assert main(["install", client, "--remove"]) == 0
    assert capsys.readouterr().out == f"blaxel-models is not in {file}; nothing was changed.\n"


def test_remove_leaves_an_input_that_another_server_uses(home: Path) -> None:
    main(["install", "vscode"])
    file = file_of(home, "vscode")
    used = '"servers": {\n    "other": {"command": "x", "env": {"K": "${input:blaxel-models-api-key}"}},'
    file.write_text(file.read_text(encoding="utf-8").replace('"servers": {', used), encoding="utf-8")

    assert main(["install", "vscode", "--remove"]) == 0

    left = json.loads(file.read_text(encoding="utf-8"))
    assert [found["id"] for found in left["inputs"]] == ["blaxel-models-api-key"]
    assert list(left["servers"]) == ["other"]


def test_remove_of_what_was_never_there_makes_no_file(home: Path) -> None:
    assert main(["install", "cursor", "--remove"]) == 0

    assert list(home.iterdir()) == []


def test_another_file_can_be_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)

    assert main(["install", "claude-code", "--file", ".mcp.json", "--demo"]) == 0
    assert main(["install", "claude-code", "--file", "~/again.json", "--demo"]) == 0

    assert (home / ".mcp.json").read_bytes() == (home / "again.json").read_bytes()


def test_without_a_client_each_one_is_listed_with_its_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "cursor", "--name", "models"])
    existing(home, "zed", "{}")
    existing(home, "codex", "[mcp_servers\n")
    capsys.readouterr()

    assert main(["install"]) == 0

    lines = capsys.readouterr().out.splitlines()
    states = {"cursor": "installed as models", "zed": "not installed", "codex": "cannot be read"}
    assert [line.split("  ", 1)[0].rstrip() for line in lines[: len(NAMES)]] == NAMES
    for line, client in zip(lines, NAMES, strict=False):
        assert line.split(None, 1)[1].split("  ")[0] == states.get(client, "no file")
        assert line.endswith(f"  {file_of(home, client)}")
    assert lines[len(NAMES)].startswith(f"codex: {file_of(home, 'codex')} cannot be parsed at line 1, column 13")
    assert lines[len(NAMES) + 1 :] == [
        "`blaxel-mcp install CLIENT` adds the server to one of them, `--all` to each that is on this machine."
    ]


# The earlier default name


EARLIER = '{"mcpServers": {"blaxel": {"command": "/old/blaxel-mcp", "timeout": 300}}}'


def test_an_entry_of_ours_with_the_earlier_name_is_updated_and_keeps_its_name(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = existing(home, "cursor", EARLIER)

    assert main(["install", "cursor", "--demo"]) == 0

    servers = json.loads(file.read_text(encoding="utf-8"))["mcpServers"]
    assert servers == {"blaxel": {"command": SCRIPT, "timeout": 300, "args": ["serve", "--demo"]}}
    out = capsys.readouterr().out
    assert out.startswith(f"Changed blaxel in {file}")
    assert "note: the entry keeps its name blaxel, which Blaxel uses for its own hosted server." in out


def test_the_hosted_server_of_blaxel_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosted = {"url": "https://api.blaxel.ai/v0/mcp"}
    file = existing(home, "cursor", json.dumps({"mcpServers": {"blaxel": hosted}}))

    assert main(["install", "cursor", "--demo"]) == 0
    assert main(["install", "cursor", "--remove"]) == 0

    assert json.loads(file.read_text(encoding="utf-8"))["mcpServers"] == {"blaxel": hosted}
    assert "keeps its name" not in capsys.readouterr().out


def test_remove_finds_an_entry_with_the_earlier_name(home: Path) -> None:
    file = existing(home, "cursor", EARLIER)

    assert main(["install", "cursor", "--remove"]) == 0

    assert json.loads(file.read_text(encoding="utf-8"))["mcpServers"] == {}


def test_remove_names_the_other_entries_of_this_server_with_the_command_that_removes_them(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = existing(home, "cursor", EARLIER)
    main(["install", "cursor", "--demo", "--name", "blaxel-models"])
    capsys.readouterr()

    assert main(["install", "cursor", "--remove"]) == 0

    (command,) = re.findall("`blaxel-mcp (install .* --remove)`", capsys.readouterr().out)
    assert main(command.split()) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["mcpServers"] == {}


# All clients at once


def test_all_changes_each_client_on_this_machine_and_says_which_it_skipped(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    existing(home, "zed", '{"context_servers": {}}')
    file_of(home, "cursor").parent.mkdir()
    program = tmp_path / "programs" / ("claude.exe" if sys.platform == "win32" else "claude")
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))

    assert main(["install", "--all", "--demo"]) == 0

    for client in ("zed", "cursor", "claude-code"):
        assert written(home, client)["args"] == ["serve", "--demo"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["Claude Code:", "Cursor:", "Zed:"]
    assert lines[-1] == (
        "Skipped, since not found on this machine: Claude Desktop, VS Code, Windsurf, Codex, Gemini CLI, Cline."
    )
    assert not file_of(home, "codex").exists()

    assert main(["install", "--all", "--remove"]) == 0
    assert json.loads(file_of(home, "zed").read_text(encoding="utf-8")) == {"context_servers": {}}


def test_all_goes_on_after_a_file_that_cannot_be_changed_and_ends_with_its_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    broken = existing(home, "claude-desktop", "{")
    existing(home, "zed", "{}")

    assert main(["install", "--all", "--demo"]) == 2

    assert f"{broken} cannot be parsed at line 1" in capsys.readouterr().err
    assert written(home, "zed")["args"] == ["serve", "--demo"]


@pytest.mark.usefixtures("home")
def test_all_without_any_client_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    assert main(["install", "--all", "--demo"]) == 1

    assert capsys.readouterr().out.startswith("Skipped, since not found on this machine: Claude Desktop, Claude Code, ")


# Mistakes of usage


@pytest.mark.parametrize("case", MALFORMED, ids=[case[0] for case in MALFORMED])
def test_print_refuses_a_malformed_file_as_the_run_would(
    case: tuple[str, str, str, int, int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, client, text, line, column = case
    existing(home, client, text)

    assert main(["install", client, "--print"]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"cannot be parsed at line {line}, column {column}: " in captured.err


@pytest.mark.parametrize("option", [[], ["--print"]], ids=["write", "print"])
def test_a_file_where_a_folder_should_be_is_refused(
    option: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(home, "cursor").parent.write_text("", encoding="utf-8")

    assert main(["install", "cursor", "--demo", *option]) == 2

    assert f"{file_of(home, 'cursor')} cannot be" in capsys.readouterr().err


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root writes into every folder")
@pytest.mark.parametrize("option", [[], ["--print"]], ids=["write", "print"])
def test_a_folder_that_may_not_be_written_is_refused(
    option: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file_of(home, "cursor").parent.mkdir(mode=0o500)

    assert main(["install", "cursor", "--demo", *option]) == 2

    assert "cannot be written (Permission denied)" in capsys.readouterr().err


def test_print_refuses_the_name_of_another_server(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    existing(home, "cursor", '{"mcpServers": {"blaxel-models": {"command": "npx"}}}')

    assert main(["install", "cursor", "--demo", "--print"]) == 2

    captured = capsys.readouterr()
    assert (captured.out, "does not run blaxel-mcp" in captured.err) == ("", True)


def test_the_help_names_every_client(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["install", "--help"])

    text = " ".join(capsys.readouterr().out.split())
    assert [client for client in NAMES if client not in text] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["claud-desktop"], "Did you mean claude-desktop?"),
        (["emacs"], "docs/attach.md shows how to add any other client by hand."),
        (["--remove"], "--remove needs the name of a client, or --all."),
        (["--with-key"], "--with-key needs the name of a client, or --all."),
        (["cursor", "--all"], "--all changes every client, so it cannot be combined with CLIENT."),
        (["--all", "--file", "x.json"], "--all changes every client, so it cannot be combined with --file."),
        (["cursor", "--name", "a b"], "'a b' is not a valid entry name."),
        (["cursor", "--name", ""], "'' is not a valid entry name."),
        (["cursor", "--name=-x"], "'-x' is not a valid entry name."),
        (
            ["gemini-cli", "--name", "a_b"],
            "Gemini CLI does not allow _ in a server's name, as in a_b. Choose another name, such as `--name a-b`.",
        ),
        (["cursor", "--demo", "--with-key"], "The demo needs no key."),
        (["cursor", "--config", "/none/such.toml"], "cannot be read"),
    ],
)
def test_a_mistake_of_usage_says_what_to_do(
    words: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", *words]) == 2

    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert list(home.iterdir()) == []


@posix
def test_a_file_that_another_run_keeps_on_editing_is_left_alone_with_an_error(tmp_path: Path) -> None:
    with (
        edit_lock(tmp_path),
        pytest.raises(ConfigurationError, match="Another `blaxel-mcp install` is still running"),
        edit_lock(tmp_path, seconds=0),
    ):
        pytest.fail("both runs edit the file")

    with edit_lock(tmp_path, seconds=0):
        """The lock is free again."""
