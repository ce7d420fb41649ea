"""Claude Code, Codex and Gemini CLI find the server by the entry that `blaxel-mcp install` writes, and over HTTP."""

import shutil
import sys
from pathlib import Path

import pytest

from blaxel_mcp.emulator import Emulator
from tests.clients.coding_agents import ClaudeCode, Codex, Gemini, run
from tests.clients.installed import needs
from tests.clients.served_http import served_over_http

pytestmark = pytest.mark.anyio


@pytest.fixture
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of somebody who has the agent and nothing else; what the agent writes there is its own business."""
    return tmp_path_factory.mktemp("account")


async def install(account: Path, client: str) -> None:
    """Do as a new user without a Blaxel account does."""
    done = await run(account, sys.executable, "-m", "blaxel_mcp", "install", client, "--demo")
    assert done.code == 0, done


@needs("claude")
async def test_claude_code_connects_by_the_entry_that_is_installed(account: Path) -> None:
    await install(account, "claude-code")

    assert "Connected" in await ClaudeCode().listed(account)


@needs("claude")
async def test_claude_code_connects_over_http(account: Path, emulator: Emulator) -> None:
    async with served_over_http(emulator) as url:
        await ClaudeCode().add(account, url)

        assert "Connected" in await ClaudeCode().listed(account)


@needs("codex")
async def test_codex_has_the_entry_that_is_installed_among_its_servers(account: Path) -> None:
    await install(account, "codex")

    (server,) = await Codex().listed(account)

    assert (server["name"], server["enabled"]) == ("blaxel-models", True)
    assert shutil.which(server["transport"]["command"])
    assert server["transport"]["args"] == ["serve", "--demo"]


@needs("gemini")
async def test_gemini_cli_connects_by_the_entry_that_is_installed(account: Path) -> None:
    await install(account, "gemini-cli")

    assert "Connected" in await Gemini().listed(account)


@needs("gemini")
async def test_gemini_cli_connects_over_http(account: Path, emulator: Emulator) -> None:
    async with served_over_http(emulator) as url:
        await Gemini().add(account, url)

        assert "Connected" in await Gemini().listed(account)
