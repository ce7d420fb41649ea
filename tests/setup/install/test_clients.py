"""Where each client keeps its settings on each platform, and which entries in them are ours."""

from pathlib import Path

import pytest

from blaxel_mcp.setup.install.clients import UserDirs, client_named, user_dirs
from blaxel_mcp.setup.install.document import InstalledEntry, client_states
from blaxel_mcp.setup.install.entries import is_ephemeral, own_command

HOME = Path("/home/somebody")


def on(platform: str, home: Path = HOME, **environ: str) -> UserDirs:
    return UserDirs(home=home, platform=platform, environ=environ)


MAC_SETTINGS, WINDOWS_SETTINGS = "Library/Application Support", "AppData/Roaming"

PATHS = [
    ("claude-desktop", "darwin", f"{MAC_SETTINGS}/Claude/claude_desktop_config.json"),
    ("claude-desktop", "win32", f"{WINDOWS_SETTINGS}/Claude/claude_desktop_config.json"),
    ("claude-desktop", "linux", ".config/Claude/claude_desktop_config.json"),
    *(("claude-code", platform, ".claude.json") for platform in ("darwin", "win32", "linux")),
    *(("cursor", platform, ".cursor/mcp.json") for platform in ("darwin", "win32", "linux")),
    ("vscode", "darwin", f"{MAC_SETTINGS}/Code/User/mcp.json"),
    ("vscode", "win32", f"{WINDOWS_SETTINGS}/Code/User/mcp.json"),
    ("vscode", "linux", ".config/Code/User/mcp.json"),
    *(("windsurf", platform, ".codeium/windsurf/mcp_config.json") for platform in ("darwin", "win32", "linux")),
    ("zed", "darwin", ".config/zed/settings.json"),
    ("zed", "win32", f"{WINDOWS_SETTINGS}/Zed/settings.json"),
    ("zed", "linux", ".config/zed/settings.json"),
    *(("codex", platform, ".codex/config.toml") for platform in ("darwin", "win32", "linux")),
    *(("gemini-cli", platform, ".gemini/settings.json") for platform in ("darwin", "win32", "linux")),
    *(("cline", platform, ".cline/data/settings/cline_mcp_settings.json") for platform in ("darwin", "win32", "linux")),
]


@pytest.mark.parametrize(("client", "platform", "path"), PATHS)
def test_each_clients_file_is_where_the_platform_has_it(client: str, platform: str, path: str) -> None:
    assert client_named(client).file(on(platform)) == HOME / path


@pytest.mark.parametrize(
    ("client", "where", "path"),
    [
        ("vscode", on("win32", APPDATA="/d/roaming"), "/d/roaming/Code/User/mcp.json"),
        ("claude-desktop", on("linux", XDG_CONFIG_HOME="/x"), "/x/Claude/claude_desktop_config.json"),
        ("zed", on("linux", XDG_CONFIG_HOME="/x"), "/x/zed/settings.json"),
        ("vscode", on("linux", XDG_CONFIG_HOME="not/absolute"), f"{HOME}/.config/Code/User/mcp.json"),
        ("vscode", on("darwin", XDG_CONFIG_HOME="/x"), f"{HOME}/{MAC_SETTINGS}/Code/User/mcp.json"),
        ("codex", on("linux", CODEX_HOME="/c"), "/c/config.toml"),
        ("claude-code", on("linux", CLAUDE_CONFIG_DIR="/c"), "/c/.claude.json"),
        ("codex", on("linux", CODEX_HOME=" "), f"{HOME}/.codex/config.toml"),
    ],
)
def test_a_variable_moves_the_files_of_those_who_follow_it(client: str, where: UserDirs, path: str) -> None:
    assert client_named(client).file(where) == Path(path)


def package(home: Path, name: str) -> Path:
    """A packaged Claude Desktop of Windows, whose file is not there yet."""
    folder = home / "AppData" / "Local" / "Packages" / name
    folder.mkdir(parents=True)
    return folder / "LocalCache" / "Roaming" / "Claude" / "claude_desktop_config.json"


def touched(file: Path, text: str = "{}") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_packaged_claude_desktop_reads_its_own_folder_whatever_else_is_there(tmp_path: Path) -> None:
    touched(tmp_path / WINDOWS_SETTINGS / "Claude" / "claude_desktop_config.json")
    inside = package(tmp_path, "Claude_pzs8sxrjxfjjc")

    assert client_named("claude-desktop").file(on("win32", tmp_path)) == inside


def test_of_two_packages_the_one_with_a_file_is_meant(tmp_path: Path) -> None:
    package(tmp_path, "Claude_aaa")
    used = touched(package(tmp_path, "Claude_bbb"))

    assert client_named("claude-desktop").file(on("win32", tmp_path)) == used


def test_cline_is_met_where_it_was_as_an_extension_until_it_has_moved(tmp_path: Path) -> None:
    storage = tmp_path / ".config" / "Code" / "User" / "globalStorage" / "saoudrizwan.claude-dev"
    earlier = touched(storage / "settings" / "cline_mcp_settings.json")
    assert client_named("cline").file(on("linux", tmp_path)) == earlier

    own = touched(tmp_path / ".cline" / "data" / "settings" / "cline_mcp_settings.json")
    assert client_named("cline").file(on("linux", tmp_path)) == own


def test_of_the_environment_only_folders_are_kept() -> None:
    made = user_dirs({"XDG_CONFIG_HOME": "/x", "BL_API_KEY": "k", "APPDATA": "/a"})

    assert dict(made.environ) == {"XDG_CONFIG_HOME": "/x", "APPDATA": "/a"}
    assert made.home == Path.home()


# What is found


def test_every_entry_that_runs_this_server_is_found_in_whatever_form(tmp_path: Path) -> None:
    cursor = touched(
        tmp_path / ".cursor" / "mcp.json",
        """{"mcpServers": {
          "ours": {"command": "/v/bin/blaxel-mcp", "args": ["serve"], "env": {"BL_WORKSPACE": "acme"}}, // yes
          "module": {"command": "/v/bin/python", "args": ["-m", "blaxel_mcp"]},
          "windows": {"command": "C:\\\\v\\\\Scripts\\\\blaxel-mcp.exe"},
          "uvx": {"command": "uvx", "args": ["blaxel-mcp@0.5"]},
          "nested": {"command": {"path": "/v/bin/blaxel-mcp", "args": ["serve"], "env": {"A": "1"}}},
          "other": {"command": "npx", "args": ["/home/x/blaxel-mcp/tool", "blaxel-mcp-proxy"]},
          "remote": {"url": "http://127.0.0.1:8000/mcp"},
          "broken": null, "odd": {"command": 5, "args": "x"},
        }}""",
    )
    cline = touched(
        tmp_path / ".cline" / "data" / "settings" / "cline_mcp_settings.json",
        '{"mcpServers": {"ours": {"transport": {"type": "stdio", "command": "blaxel-mcp", "env": {"A": "1"}}}}}',
    )
    codex = touched(
        tmp_path / ".codex" / "config.toml",
        '[mcp_servers.blaxel]\ncommand = "/v/bin/blaxel-mcp"\n[mcp_servers.blaxel.env]\nBL_WORKSPACE = "acme"\n',
    )

    states = client_states(on("linux", tmp_path))
    row = client_named("cursor")
    assert [entry for state in states for entry in state.entries] == [
        InstalledEntry(row, "ours", cursor, ("/v/bin/blaxel-mcp", "serve"), {"BL_WORKSPACE": "acme"}),
        InstalledEntry(row, "module", cursor, ("/v/bin/python", "-m", "blaxel_mcp"), {}),
        InstalledEntry(row, "windows", cursor, ("C:\\v\\Scripts\\blaxel-mcp.exe",), {}),
        InstalledEntry(row, "uvx", cursor, ("uvx", "blaxel-mcp@0.5"), {}),
        InstalledEntry(row, "nested", cursor, ("/v/bin/blaxel-mcp", "serve"), {"A": "1"}),
        InstalledEntry(client_named("codex"), "blaxel", codex, ("/v/bin/blaxel-mcp",), {"BL_WORKSPACE": "acme"}),
        InstalledEntry(client_named("cline"), "ours", cline, ("blaxel-mcp",), {"A": "1"}),
    ]
    assert {state.problem for state in states} == {""}


def test_a_file_that_cannot_be_used_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    broken = touched(tmp_path / ".cursor" / "mcp.json", '{"mcpServers": }')
    odd = touched(tmp_path / ".gemini" / "settings.json", '{"mcpServers": []}')
    touched(tmp_path / ".claude.json", '{"mcpServers": {"b": {"command": "blaxel-mcp"}}}')

    states = client_states(on("linux", tmp_path))
    assert [state.client.name for state in states if state.entries] == ["claude-code"]
    first, second = (state for state in states if state.problem)
    assert first.problem == f"{broken} cannot be parsed at line 1, column 16: expected a value."
    assert (second.client.name, second.file) == ("gemini-cli", odd)
    assert second.problem.startswith(f"mcpServers in {odd} should be a table")


def test_the_variables_of_an_entry_are_not_in_its_repr() -> None:
    entry = InstalledEntry(client_named("cursor"), "blaxel", HOME, ("blaxel-mcp",), {"BL_API_KEY": "a-key-by-hand"})

    assert "a-key-by-hand" not in repr(entry)


# The command


def test_the_command_is_the_script_beside_the_interpreter_and_its_path_is_absolute(tmp_path: Path) -> None:
    python = touched(tmp_path / "bin" / "python")
    assert own_command(python) == (str(python), "-P", "-m", "blaxel_mcp")

    script = touched(tmp_path / "bin" / "blaxel-mcp")
    assert own_command(python) == (str(script),)


def test_on_windows_the_script_has_an_ending(tmp_path: Path) -> None:
    script = touched(tmp_path / "blaxel-mcp.exe")

    assert own_command(tmp_path / "python.exe") == (str(script),)


@pytest.mark.parametrize(
    ("command", "passing"),
    [
        ("/home/x/.cache/uv/archive-v0/abc/bin/blaxel-mcp", True),
        ("/home/x/.local/share/uv/tools/blaxel-mcp/bin/blaxel-mcp", False),
    ],
)
def test_a_copy_in_a_cache_is_known_for_one(command: str, passing: bool) -> None:
    assert is_ephemeral([command]) is passing
