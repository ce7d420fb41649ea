"""What the demo shows, and how it tells it."""

import base64
import json
import math
import sys
import textwrap
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client
from mcp.shared.dispatcher import ProgressFnT
from rich.console import Console
from rich.text import Text

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.tools.results.results import ERROR_KEY

_SHOWN_HEADERS = ("x-blaxel-authorization", "x-blaxel-workspace", "content-type")
_MAX_SHOWN = 300
_LABEL_WIDTH = 12
_TOOL_WIDTH = 18

_SENTENCES = [
    "The cat sat on the mat.",
    "On the mat a cat was sitting.",
    "Interest rates rose again in March.",
]


class Tour:
    """Leads a client through the server, and prints what went over at each stop."""

    def __init__(self, console: Console, emulator: Emulator) -> None:
        self._console = console
        self._emulator = emulator
        self._stops = 0

    def introduce(self, settings: str) -> None:
        """Say what is about to run, with the settings file that it runs by."""
        self._stop("The platform")
        self._say(f"An emulator of Blaxel's model APIs listens at {self._emulator.url}: no account, no key, no cost.")
        self._stop("The settings")
        self._say("The server is started with BL_API_KEY in its environment and this file:")
        self._block(settings.strip())

    async def visit(self, client: Client) -> None:
        """Call the server, stop by stop."""
        await self._tools(client)
        await self._chat(client)
        await self._embeddings(client)
        await self._long_answer(client)
        await self._any_model(client)
        await self._stream(client)
        await self._picture(client)
        await self._error(client)
        self._farewell()

    async def _tools(self, client: Client) -> None:
        self._stop("The tools")
        self._say(f"The client has started the server over stdio; they speak MCP {client.protocol_version}.")
        listed = (await client.list_tools()).tools
        self._say(f"tools/list: {len(listed)} tools, one per configured model and the generic ones.")
        for tool in listed:
            first = (tool.description or "").partition(". ")[0].rstrip(".")
            self._line(tool.name, f"{first}.", width=_TOOL_WIDTH)

    async def _chat(self, client: Client) -> None:
        self._stop("A chat model")
        result = await self._call(client, "house-chat", {"prompt": "What is 17 * 23?", "max_tokens": 50})
        answer = _structured(result)
        self._line("it says", answer["choices"][0]["message"]["content"], style="bold green")
        self._receipt(result)

    async def _embeddings(self, client: Client) -> None:
        self._stop("An embedding model")
        result = await self._call(client, "house-embed", {"input": _SENTENCES, "dimensions": 32})
        vectors = [item["embedding"] for item in _structured(result)["data"]]
        for other in (1, 2):
            pair = f"{_SENTENCES[0]!r} and {_SENTENCES[other]!r}"
            self._line("likeness", f"{_cosine(vectors[0], vectors[other]):.2f} between {pair}", style="bold green")
        self._receipt(result)

    async def _long_answer(self, client: Client) -> None:
        self._stop("An answer too long for a context, read in parts")
        result = await self._call(client, "house-embed", {"input": _SENTENCES})
        call_id = (result.meta or {})[RECEIPT_KEY]["call_id"]
        self._say("The vectors of 1536 figures each are summed up; the whole is kept for read_result:")
        part = {"call_id": call_id, "pointer": "/data/2/embedding", "offset": 100, "length": 8}
        self._line("it reads", _text(await self._call(client, "read_result", part)), style="bold green")

    async def _stream(self, client: Client) -> None:
        self._stop("A slow answer, with signs of life")
        arguments = {
            "model": "fault-stream-slow",
            "data": {"messages": [{"role": "user", "content": "Slowly, please"}]},
        }

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
            self._line("progress", message or "", style="yellow")

        result = await self._call(client, "run_model", arguments, on_progress)
        answer = _structured(result)
        self._line("it says", answer["choices"][0]["message"]["content"], style="bold green")
        self._receipt(result)

    async def _picture(self, client: Client) -> None:
        self._stop("A picture comes back as a picture")
        result = await self._call(client, "run_model", {"model": "fault-png"})
        for block in result.content:
            if isinstance(block, types.ImageContent):
                size = len(base64.b64decode(block.data))
                self._line("it sees", f"an image block: {block.mime_type}, {size} bytes", style="bold green")

    async def _any_model(self, client: Client) -> None:
        self._stop("Any other model, any path")
        self._say("run_model reaches every model. This client spells `data` as a string, as some do: it is repaired.")
        arguments = {
            "model": "sandbox-openai",
            "path": "/v1/chat/completions",
            "data": '{"messages": [{"role": "user", "content": "Count the words in: one key, many models"}]}',
        }
        result = await self._call(client, "run_model", arguments)
        answer = _structured(result)
        self._line("it says", answer["choices"][0]["message"]["content"], style="bold green")
        self._receipt(result)

    async def _error(self, client: Client) -> None:
        self._stop("A failure, and what the agent is told")
        result = await self._call(client, "run_model", {"model": "fault-429-long", "data": {"messages": []}})
        details = (result.meta or {})[ERROR_KEY]
        self._line("it reads", _text(result), style="bold yellow")
        shown = ("code", "origin", "retryable", "retry_after_seconds", "billed")
        self._line("in fields", ", ".join(f"{name}: {json.dumps(details[name])}" for name in shown))

    def _farewell(self) -> None:
        self._stop("Your own workspace")
        self._say("Put this into claude_desktop_config.json (docs/attach.md has the file's place and other clients):")
        entry = {**_own_command(), "env": {"BL_WORKSPACE": "your-workspace", "BL_API_KEY": "your-key"}}
        self._block(json.dumps({"mcpServers": {"blaxel": entry}}, indent=2))

    async def _call(
        self, client: Client, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> types.CallToolResult:
        seen = len(self._emulator.requests)
        self._line("agent calls", f"{tool} {json.dumps(arguments, ensure_ascii=False)}", style="cyan")
        result = await client.call_tool(tool, arguments, progress_callback=on_progress)
        for request in self._emulator.requests[seen:]:
            self._request(request)
        if not result.is_error and tool != "read_result" and _text(result):
            self._line("comes back", _bounded(_text(result)))
        return result

    def _request(self, request: RecordedRequest) -> None:
        self._line("goes out", f"{request.method} {request.raw_path.decode()}", style="magenta")
        if request.method == "POST":
            for name, value in request.headers:
                if name in _SHOWN_HEADERS:
                    self._line("", f"{name}: {'Bearer ********' if 'authorization' in name else value}", style="dim")
            self._line("", _bounded(request.body.decode()))

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
        self._console.print(Text(f"   {text}"))

    def _block(self, text: str) -> None:
        self._console.print(Text(textwrap.indent(text, "      "), style="dim"))

    def _line(self, label: str, text: str, *, style: str = "default", width: int = _LABEL_WIDTH) -> None:
        self._console.print(Text.assemble((f"   {label:<{width}} ", "dim"), (text, style)))


def _own_command() -> dict[str, Any]:
    """How a client starts this very installation: by an absolute path, since clients search few folders."""
    script = Path(sys.argv[0])
    if script.is_file() and script.stem == "blaxel-mcp":
        return {"command": str(script.absolute())}
    return {"command": sys.executable, "args": ["-m", "blaxel_mcp"]}


def _structured(result: types.CallToolResult) -> dict[str, Any]:
    content: dict[str, Any] | None = result.structured_content
    if result.is_error or content is None:
        raise RuntimeError(f"the demo's own call failed: {_text(result)}")
    return content


def _text(result: types.CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, types.TextContent))


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}... ({len(text)} characters in all)"


def _cosine(left: list[float], right: list[float]) -> float:
    products = (sum(map(float.__mul__, a, b)) for a, b in ((left, right), (left, left), (right, right)))
    dot, left_square, right_square = products
    return dot / math.sqrt(left_square * right_square)
