"""`install` as a process: its entry starts the server, and several at once lose nothing."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp.cli.main import main
from blaxel_mcp.setup.install.clients import UserDirs, client_named
from tests.support.leaks import Client, look_at


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["claude-desktop", "vscode", "codex"])
async def test_the_entry_as_it_was_written_starts_the_server(client: str, home: Path) -> None:
    assert main(["install", client, "--demo"]) == 0
    row = client_named(client)
    text = row.file(UserDirs(home=home, platform=sys.platform)).read_text(encoding="utf-8")
    entry = (tomllib.loads(text) if client == "codex" else json.loads(text))[row.key]["blaxel-models"]
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry.get("env"), cwd=home)

    with (home / "errors.log").open("w+", encoding="utf-8") as log, anyio.fail_after(40):
        async with Client(stdio_client(server, errlog=log)) as connected:
            tools = [tool.name for tool in (await connected.list_tools()).tools]
        log.seek(0)
        look_at("stderr of the server", log.read())
    assert "house-chat" in tools


def test_installs_at_the_same_time_lose_nothing(home: Path) -> None:
    script = str(Path(sys.executable).with_name("blaxel-mcp"))
    names = [f"blaxel-{number}" for number in range(6)]
    commands = [[script, "install", "cursor", "--demo", "--name", name] for name in names]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]

    assert [process.wait(timeout=60) for process in processes] == [0] * len(names)
    file = client_named("cursor").file(UserDirs(home=home, platform=sys.platform))
    entries = json.loads(file.read_text(encoding="utf-8"))["mcpServers"]
    assert sorted(entries) == names
