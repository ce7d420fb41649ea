"""`blaxel-mcp demo`: a tour of the server on this machine, without an account.

An emulator of Blaxel listens on loopback, this server runs as the subprocess that an MCP client would start, and the
MCP SDK's own client calls it. Every request and response is printed.
"""

import argparse
import base64
import json
import math
import re
import sys
import tempfile
import textwrap
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.shared.dispatcher import ProgressFnT
from rich.text import Text

from blaxel_mcp.cli.console import ReportConsole, waiting
from blaxel_mcp.cli.run import until_signal
from blaxel_mcp.cli.settings import DEMO_KEY, DEMO_MODELS, DEMO_WORKSPACE
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.redaction import shorten
from blaxel_mcp.emulator import Emulator, run_emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.setup.install.change import DEFAULT_NAME
from blaxel_mcp.setup.install.entries import own_command
from blaxel_mcp.setup.install.toml_edit import toml_value
from blaxel_mcp.tools.results.results import ERROR_KEY

_TOUR_SECONDS = 60
_SHOWN_HEADERS = ("x-blaxel-authorization", "x-blaxel-workspace", "content-type")
_SHOWN_FIELDS = ("code", "origin", "retryable", "retry_after_seconds", "billed")
_SHOWN_CHARS = 300
_LABEL_WIDTH = 12
_TOOL_WIDTH = 18

_SENTENCES = ["The cat sat on the mat.", "On the mat a cat was sitting.", "Interest rates rose again in March."]


def demo(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes the options
    """Run the tour."""
    done = anyio.run(until_signal, _demo)
    return ExitCode.INTERRUPTED if done is None else done


async def _demo() -> ExitCode:
    with (
        tempfile.TemporaryDirectory(prefix="blaxel-mcp-demo-") as folder,
        anyio.move_on_after(_TOUR_SECONDS) as tour_time,
    ):
        async with run_emulator() as emulator:
            # The key is not in it.
            own = {"workspace": DEMO_WORKSPACE, "run_url": emulator.run_url, "api_url": emulator.api_url}
            settings = "\n".join(
                header + "".join(f"{name} = {toml_value(value)}\n" for name, value in table.items())
                for header, table in [("", own), *(("[[models]]\n", model) for model in DEMO_MODELS)]
            )
            file = anyio.Path(folder, "config.toml")
            await file.write_text(settings, encoding="utf-8")
            tour = _Tour(emulator)
            tour.introduce(settings)
            server = StdioServerParameters(
                command=sys.executable,
                # -P: nothing is imported from the working directory.
                args=["-P", "-m", "blaxel_mcp", "serve", "--config", str(file)],
                env={"BL_API_KEY": DEMO_KEY, "BLAXEL_MCP_BUDGET__LEDGER": ":memory:"},
            )
            async with AsyncExitStack() as stack:
                with waiting("starting the server"):
                    client = await stack.enter_async_context(Client(server))
                await tour.show_tools(client)
                await tour.call_configured_models(client)
                await tour.call_other_models(client)
                await tour.show_picture_and_failure(client)
    if tour_time.cancelled_caught:
        hint = "Run it again when this machine is less busy."
        raise BlaxelError(f"The demo did not end within {_TOUR_SECONDS} s.", code="timeout", hint=hint)
    tour.show_own_entry()
    return ExitCode.OK


class _Tour:
    """Calls a server's tools in numbered stops and prints each call, the requests that it causes and its result."""

    def __init__(self, emulator: Emulator) -> None:
        self._console = ReportConsole()
        self._emulator = emulator
        self._stops = 0

    def introduce(self, settings: str) -> None:
        """Print where the emulator listens and the settings file of the server."""
        self._stop("The platform")
        self._say(f"An emulator of Blaxel's model APIs listens at {self._emulator.url}: no account, no key, no cost.")
        self._stop("The settings")
        self._say("The server starts with BL_API_KEY in its environment and this file:")
        self._block(settings.strip())

    async def show_tools(self, client: Client) -> None:
        """List the server's tools."""
        self._stop("The tools")
        self._say(f"The client has started the server over stdio; they speak MCP {client.protocol_version}.")
        tools = (await client.list_tools()).tools
        self._say(f"tools/list: {len(tools)} tools, one per configured model and the generic ones.")
        for tool in tools:
            self._line(tool.name, f"{(tool.description or '').partition('. ')[0].rstrip('.')}.", width=_TOOL_WIDTH)

    async def call_configured_models(self, client: Client) -> None:
        """Call a chat model and an embedding model, and read a long answer in parts."""
        self._stop("A chat model")
        await self._ask(client, "house-chat", {"prompt": "What is 17 * 23?", "max_tokens": 50})
        self._stop("An embedding model")
        result = await self._call(client, "house-embed", {"input": _SENTENCES, "dimensions": 32})
        first, *others = (item["embedding"] for item in _structured(result)["data"])
        for sentence, vector in zip(_SENTENCES[1:], others, strict=True):
            cosine = sum(map(float.__mul__, first, vector)) / (math.hypot(*first) * math.hypot(*vector))
            similarity = f"{cosine:.2f} between {_SENTENCES[0]!r} and {sentence!r}"
            self._line("similarity", similarity, style="bold green")
        self._receipt(result)
        self._stop("An answer too long for a context, read in parts")
        result = await self._call(client, "house-embed", {"input": _SENTENCES})
        self._say("The vectors of 1536 numbers each are summarized; read_result has them in full:")
        call_id = (result.meta or {})[RECEIPT_KEY]["call_id"]
        part = {"call_id": call_id, "pointer": "/data/2/embedding", "offset": 100, "length": 8}
        self._line("part", _text(await self._call(client, "read_result", part)), style="bold green")

    async def call_other_models(self, client: Client) -> None:
        """Call models without a tool of their own, one of them slow enough to report progress."""
        self._stop("Any other model, any path")
        self._say("run_model reaches every model. This client sends `data` as a string, as some do; it is repaired.")
        body = '{"messages": [{"role": "user", "content": "Count the words in: one key, many models"}]}'
        arguments = {"model": "sandbox-openai", "path": "/v1/chat/completions", "data": body}
        await self._ask(client, "run_model", arguments)
        self._stop("A slow answer, with progress")

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
            self._line("progress", message or "", style="yellow")

        messages = [{"role": "user", "content": "Slowly, please"}]
        slow = {"model": "fault-stream-slow", "data": {"messages": messages}}
        await self._ask(client, "run_model", slow, on_progress)

    async def show_picture_and_failure(self, client: Client) -> None:
        """Call a model that returns a picture and one whose call fails."""
        self._stop("A picture comes back as a picture")
        result = await self._call(client, "run_model", {"model": "fault-png"})
        for block in result.content:
            if isinstance(block, types.ImageContent):
                size = len(base64.b64decode(block.data))
                self._line("image", f"an image block: {block.mime_type}, {size} bytes", style="bold green")
        self._stop("A failure, as the agent sees it")
        result = await self._call(client, "run_model", {"model": "fault-429-long", "data": {"messages": []}})
        self._line("error", _text(result), style="bold yellow")
        details = (result.meta or {})[ERROR_KEY]
        self._line("fields", ", ".join(f"{name}: {json.dumps(details[name])}" for name in _SHOWN_FIELDS))

    def show_own_entry(self) -> None:
        """Print the entry that starts this server for the user's own workspace."""
        self._stop("Your own workspace")
        self._say("Put this into claude_desktop_config.json (docs/attach.md has its folder and other clients):")
        command, *arguments = own_command(Path(sys.executable))
        entry = {"command": command, **({"args": arguments} if arguments else {})}
        variables = {"BL_WORKSPACE": "your-workspace", "BL_API_KEY": "your-key"}
        self._block(json.dumps({"mcpServers": {DEFAULT_NAME: {**entry, "env": variables}}}, indent=2))

    async def _ask(
        self, client: Client, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> None:
        result = await self._call(client, tool, arguments, on_progress)
        self._line("text", _structured(result)["choices"][0]["message"]["content"], style="bold green")
        self._receipt(result)

    async def _call(
        self, client: Client, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> types.CallToolResult:
        """Call a tool and print the call, the requests that reached the emulator meanwhile, and the result."""
        earlier = len(self._emulator.requests)
        self._line("tool call", f"{tool} {json.dumps(arguments, ensure_ascii=False)}", style="cyan")
        result = await client.call_tool(tool, arguments, progress_callback=on_progress)
        for request in self._emulator.requests[earlier:]:
            self._line("request", f"{request.method} {request.raw_path.decode()}", style="magenta")
            if request.method == "POST":
                for name, value in request.headers:
                    if name in _SHOWN_HEADERS:
                        shown = "Bearer ********" if "authorization" in name else value
                        self._line("", f"{name}: {shown}", style="dim")
                self._line("", shorten(request.body.decode(), _SHOWN_CHARS))
        if not result.is_error and tool != "read_result" and _text(result):
            self._line("result", shorten(_text(result), _SHOWN_CHARS))
        return result

    def _receipt(self, result: types.CallToolResult) -> None:
        receipt = (result.meta or {})[RECEIPT_KEY]
        parts = [f"status {receipt['status']}", f"{receipt['elapsed_ms']:.0f} ms"]
        if usage := receipt["usage"]:
            parts.append(f"{usage['total_tokens']} tokens")
        if receipt["cost_usd"] is not None:
            parts.append(f"{receipt['cost_usd']:.7f} USD")
        self._line("receipt", ", ".join((*parts, *receipt["repairs"], *receipt["notes"])), style="dim")

    def _stop(self, title: str) -> None:
        self._stops += 1
        self._console.print()
        self._console.print(Text(f"{self._stops}. {title}", style="bold"))

    def _say(self, text: str) -> None:
        self._print("   ", text)

    def _block(self, text: str) -> None:
        self._console.print(Text(textwrap.indent(text, "      "), style="dim"))

    def _line(self, label: str, text: str, *, style: str = "default", width: int = _LABEL_WIDTH) -> None:
        self._print(f"   {label:<{width}} ", text, style)

    def _print(self, label: str, text: str, style: str = "default") -> None:
        """Print a label and its text; on a terminal, the text is wrapped beside it, after a space or a comma."""
        width = max(1, self._console.width - len(label) if self._console.is_terminal else len(text))
        for row in re.findall(rf".{{1,{width}}}(?:(?<=[ ,])|$)|.{{{width}}}", text):
            self._console.print(Text.assemble((label, "dim"), (row.rstrip(), style)))
            label = " " * len(label)


def _structured(result: types.CallToolResult) -> dict[str, Any]:
    content: dict[str, Any] | None = result.structured_content
    if result.is_error or content is None:
        raise RuntimeError(f"the demo's own call failed: {_text(result)}")
    return content


def _text(result: types.CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, types.TextContent))
