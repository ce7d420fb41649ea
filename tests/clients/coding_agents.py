"""Claude Code, Codex and Gemini CLI with an empty home, loopback only, and this server."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from blaxel_mcp.server.server import INSTRUCTIONS
from tests.clients.driving import Server
from tests.clients.installed import node, program
from tests.support.leaks import look_at

QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "GEMINI_TELEMETRY_ENABLED": "false",
    "NO_COLOR": "1",
}
"""Disables the telemetry of these programs."""

_SECONDS = 50


@dataclass(frozen=True, slots=True)
class Finished:
    """The exit code and output of a program."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of a model request that come from this server.

    Attributes:
        instructions: The place of the server's instructions.
        tools: The definitions of its tools.
        results: For each call, whether it is marked as failed, and its content blocks.
    """

    instructions: str
    tools: list[dict[str, Any]]
    results: list[tuple[bool, list[dict[str, Any]]]]


async def run(home: Path, *command: str, **environment: str) -> Finished:
    """Run a program in an empty folder below its own home."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), **QUIET, **environment}
    folder = home / "work"
    folder.mkdir(exist_ok=True)
    with anyio.fail_after(_SECONDS):
        finished = await anyio.run_process(command, env=variables, cwd=folder, check=False)
    look_at(f"what {command[0]} prints", finished.stdout + finished.stderr)
    return Finished(finished.returncode, finished.stdout.decode(), finished.stderr.decode())


class ClaudeCode:
    """Claude Code; its servers are an object in a JSON file."""

    name = "claude"
    title = "Claude Code"
    prefix = "mcp__blaxel__"

    async def listed(self, home: Path) -> str:
        """Return its list of servers, after it has connected to them."""
        return (await run(home, program("claude", "claude"), "mcp", "list")).stdout

    async def add(self, home: Path, url: str) -> None:
        """Add a server that is reached over HTTP."""
        words = ("mcp", "add", "--scope", "user", "--transport", "http", "blaxel", url)
        added = await run(home, program("claude", "claude"), *words)
        assert added.code == 0, added

    async def ask(self, home: Path, server: Server, api: str) -> Finished:
        """Run a task with the model at this URL."""
        file = home / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {"blaxel": {"type": "stdio", **server}}}))
        words = ("-p", "Begin.", "--mcp-config", str(file), "--strict-mcp-config", "--allowedTools", "mcp__blaxel")
        # With tool search, the model would see only names until it searches.
        keys = {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": api, "ENABLE_TOOL_SEARCH": "false"}
        return await run(home, program("claude", "claude"), *words, **keys)

    def tool(self, name: str) -> str:
        """Return its name for a tool of this server."""
        return self.prefix + name

    def shown(self, body: Mapping[str, Any]) -> Shown:
        """Return the parts of a model request that come from this server."""
        messages = [message for message in body["messages"] if isinstance(message["content"], list)]
        results = [block for message in messages for block in message["content"] if block["type"] == "tool_result"]
        return Shown(
            instructions="a reminder among the messages" if INSTRUCTIONS in _texts(body["messages"]) else "nothing",
            tools=[tool for tool in body["tools"] if tool["name"].startswith(self.prefix)],
            results=[(bool(result.get("is_error")), _blocks(result["content"])) for result in results],
        )


class Codex:
    """Codex; its servers are tables in a TOML file."""

    name = "codex"
    title = "Codex"
    namespace = "mcp__blaxel"

    async def listed(self, home: Path) -> Any:
        """Return its list of servers, without connecting to them."""
        return json.loads((await run(home, program("codex", "codex"), "mcp", "list", "--json")).stdout)

    async def ask(self, home: Path, server: Server, api: str) -> Finished:
        """Run a task with the model at this URL."""
        fake = f'name = "fake"\nbase_url = "{api}/v1"\nwire_api = "responses"\nenv_key = "NO_KEY"\n'
        self._write(home, server, head=f'model = "fake"\nmodel_provider = "fake"\n[model_providers.fake]\n{fake}')
        words = ("exec", "--skip-git-repo-check", "Begin.")
        return await run(home, program("codex", "codex"), *words, NO_KEY="none")

    def tool(self, name: str) -> str:
        """Return its name for a tool of this server: namespace and name, with underscores for hyphens."""
        return f"{self.namespace}:{name.replace('-', '_')}"

    def shown(self, body: Mapping[str, Any]) -> Shown:
        """Return the parts of a model request that come from this server."""
        (ours,) = (tool for tool in body["tools"] if tool.get("name") == self.namespace)
        results = [item["output"] for item in body["input"] if item["type"] == "function_call_output"]
        return Shown(
            instructions="the description of the tools' namespace"
            if ours["description"] == INSTRUCTIONS
            else "nothing",
            tools=ours["tools"],
            # It does not mark failed results.
            results=[(False, _blocks(result)) for result in results],
        )

    def _write(self, home: Path, server: Server, head: str) -> None:
        # A string and a list of strings are the same in TOML and JSON.
        variables = ", ".join(f"{name} = {json.dumps(value)}" for name, value in server["env"].items())
        lines = [
            "[mcp_servers.blaxel]",
            f"command = {json.dumps(server['command'])}",
            f"args = {json.dumps(server['args'])}",
            f"env = {{ {variables} }}",
            # Otherwise the model may be called before the tools are there.
            "required = true",
            'default_tools_approval_mode = "approve"',
        ]
        folder = home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(head + "\n".join(lines))


class Gemini:
    """Gemini CLI; its servers are an object in a JSON file, and it asks whether it may trust the folder."""

    async def listed(self, home: Path) -> str:
        """Return its list of servers, after it has connected to them."""
        trusted = home / ".gemini" / "trustedFolders.json"
        trusted.parent.mkdir(exist_ok=True)
        trusted.write_text(json.dumps({str(home / "work"): "TRUST_FOLDER"}))
        finished = await run(home, node(), program("gemini", "gemini"), "mcp", "list")
        return finished.stdout + finished.stderr

    async def add(self, home: Path, url: str) -> None:
        """Add a server that is reached over HTTP."""
        words = ("mcp", "add", "--scope", "user", "--transport", "http", "blaxel", url)
        added = await run(home, node(), program("gemini", "gemini"), *words)
        assert added.code == 0, added


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(messages: list[dict[str, Any]]) -> str:
    return "\n".join(
        message["content"] if isinstance(message["content"], str) else json.dumps(message["content"])
        for message in messages
    )
