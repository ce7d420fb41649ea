"""The fault matrix: how the server process handles each fault. `docs/fault-matrix.md` holds the results.

With UPDATE_DOCS=1 in the environment the page is written instead of compared.
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, error_of, inference_requests, is_slow_call, receipt_of, text_of
from tests.support.leaks import Client
from tests.support.processes import ENDING_SECONDS, SERVE, frame, hello, started, variables

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="how a process ends is POSIX's here"),
]

PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"

ABOUT = """# How faults are handled

Each row is a fault, what this server did, and how many of ten comparable servers did as well in the same test on the
same machine. The ten are official and popular MCP servers for hosted model APIs, in their versions of November 2026,
each with an upstream on loopback and one paid POST per row. `tests/e2e/test_fault_matrix.py` writes the column of this
server: it runs a server process, the SDK's client over stdio and the emulator, and fails if the page differs from its
results.

"""

HEAD = "| fault | this server | of ten others, as well |\n|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: the fault, how many others handle it as well, the expected result, and the function that tries it."""

    fault: str
    others: str
    expected: str
    try_out: Callable[[Emulator], Awaitable[str]]


@asynccontextmanager
async def served(emulator: Emulator, **more: str) -> AsyncIterator[Client]:
    """Connect a client to a server process over stdio."""
    environment = {**variables(emulator), **more}
    parameters = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment)
    with anyio.fail_after(40):
        async with Client(stdio_client(parameters), mode="legacy") as client:
            yield client


async def call(client: Client, model: str, **options: Any) -> types.CallToolResult:
    arguments = {"model": model, "data": {"inputs": "x"}}
    return await client.call_tool("run_model", arguments, **options)


async def cancelled(emulator: Emulator) -> str:
    async with served(emulator) as client, anyio.create_task_group() as group:
        group.start_soon(call, client, "fault-slow-30s")
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(ENDING_SECONDS):
            await request.wait_aborted()
    return "the request upstream is aborted" if request.aborted else "the request upstream goes on"


async def others_meanwhile(emulator: Emulator) -> str:
    async with served(emulator) as client, anyio.create_task_group() as group:
        group.start_soon(call, client, "fault-slow-30s")
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))
        await client.list_tools()
        waiting = not request.aborted
        group.cancel_scope.cancel()
    return "answered meanwhile" if waiting else "answered after the call"


async def client_gone(emulator: Emulator) -> str:
    async with started(SERVE, variables(emulator)) as process:
        assert process.stdin
        slow = frame("tools/call", 2, name="run_model", arguments={"model": "fault-slow-30s", "data": {}})
        await process.stdin.send(hello() + slow)
        request = await emulator.wait_for(is_slow_call, timeout_seconds=20)
        await process.stdin.aclose()
        with anyio.move_on_after(ENDING_SECONDS):
            await process.wait()
            await request.wait_aborted()
            return "the request upstream is aborted, and the process ends"
    return "the process goes on"


async def one_429(emulator: Emulator) -> str:
    async with served(emulator) as client:
        result = await call(client, "fault-first-1-429-short")
    answer_of(result)
    return f"waits, and gets the answer at attempt {receipt_of(result)['attempts']}"


async def persistent_500(emulator: Emulator) -> str:
    async with served(emulator) as client:
        error = error_of(await call(client, "fault-500-provider"))
    return f"{len(inference_requests(emulator.requests))} request; the error says `billed: {error['billed']}`"


async def dropped(emulator: Emulator) -> str:
    async with served(emulator) as client:
        error = error_of(await call(client, "fault-drop"))
    return f"{len(inference_requests(emulator.requests))} request; the error says `billed: {error['billed']}`"


async def created(emulator: Emulator) -> str:
    async with served(emulator) as client:
        result = await call(client, "fault-201")
    answer_of(result)
    return "an answer"


async def two_megabytes(emulator: Emulator) -> str:
    async with served(emulator) as client:
        result = await call(client, "fault-flood-2")
        shown = len(text_of(result))
        call_id = receipt_of(result)["call_id"]
        rest = await client.call_tool(
            "read_result", {"call_id": call_id, "pointer": "/output", "offset": 2 * 1024 * 1024 - 10, "length": 10}
        )
    assert text_of(rest).startswith("a" * 10)
    return f"truncated to {'at most 40,000' if shown <= 40_000 else shown} characters; `read_result` returns the rest"


async def picture(emulator: Emulator) -> str:
    async with served(emulator) as client:
        (block, *_) = (await call(client, "fault-png")).content
    return "an image block" if isinstance(block, types.ImageContent) else f"a {block.type} block"


async def html_page(emulator: Emulator) -> str:
    async with served(emulator) as client:
        result = await call(client, "fault-html-200")
    assert "<" not in text_of(result)
    return f"the error `{error_of(result)['code']}`, without the page"


async def event_stream(emulator: Emulator) -> str:
    async with served(emulator) as client:
        arguments = {"model": "house-chat", "data": {"messages": [{"role": "user", "content": "Hi"}], "stream": True}}
        streamed = answer_of(await client.call_tool("run_model", arguments))
        whole = answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))
    same = streamed["choices"][0]["message"]["content"] == whole["choices"][0]["message"]["content"]
    return "assembled into the whole answer" if same else "garbled"


async def progress(emulator: Emulator) -> str:
    heard = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        heard.set()

    async with served(emulator) as client, anyio.create_task_group() as group:

        async def one() -> None:
            await call(client, "fault-slow-30s", progress_callback=on_progress)

        group.start_soon(one)
        with anyio.move_on_after(ENDING_SECONDS):
            await heard.wait()
        group.cancel_scope.cancel()
    return "progress notifications" if heard.is_set() else "silence"


async def stringified(emulator: Emulator) -> str:
    async with served(emulator) as client:
        data = '{"messages": [{"role": "user", "content": "Hi"}]}'
        result = await client.call_tool("run_model", {"model": "house-chat", "data": data})
    answer_of(result)
    return "parsed, and named in the receipt" if receipt_of(result)["repairs"] else "parsed"


async def flagged(emulator: Emulator) -> str:
    faults = ("fault-401", "fault-429-long", "fault-500", "fault-html-504", "fault-drop", "fault-truncated")
    async with served(emulator) as client:
        errors = [error_of(await call(client, fault)) for fault in faults]
    return (
        "`isError` with a code and an origin" if all(error["code"] and error["origin"] for error in errors) else "bare"
    )


LINES = (
    Line("the client cancels a call", "3", "the request upstream is aborted", cancelled),
    Line("other requests during a call", "8", "answered meanwhile", others_meanwhile),
    Line("the client exits during a call", "1", "the request upstream is aborted, and the process ends", client_gone),
    Line("one 429 with a short `Retry-After`", "5", "waits, and gets the answer at attempt 2", one_429),
    Line(
        "a persistent 500",
        "5 (the rest: 3 to 12 requests)",
        "1 request; the error says `billed: maybe`",
        persistent_500,
    ),
    Line("the connection drops after the request", "5", "1 request; the error says `billed: maybe`", dropped),
    Line("a 201 with an answer", "9", "an answer", created),
    Line(
        "an answer of 2 MB",
        "0",
        "truncated to at most 40,000 characters; `read_result` returns the rest",
        two_megabytes,
    ),
    Line("a PNG as the answer", "0", "an image block", picture),
    Line("an HTML page with status 200", "6", "the error `bad_response`, without the page", html_page),
    Line("an event stream as the answer", "0", "assembled into the whole answer", event_stream),
    Line("a long call by a client that asked for progress", "0", "progress notifications", progress),
    Line("an object argument given as a JSON string", "5 of 8", "parsed, and named in the receipt", stringified),
    Line("any failure", "8", "`isError` with a code and an origin", flagged),
)


@pytest.mark.parametrize("line", LINES, ids=[line.fault for line in LINES])
async def test_a_fault_is_handled_as_the_matrix_says(emulator: Emulator, line: Line) -> None:
    found = await line.try_out(emulator)

    FOUND[line.fault] = found
    assert found == line.expected


FOUND: dict[str, str] = {}


def test_the_page_holds_the_results() -> None:
    if set(FOUND) != {line.fault for line in LINES}:
        pytest.skip("not every line was tried in this run")
    rows = "".join(f"| {line.fault} | {FOUND[line.fault]} | {line.others} |\n" for line in LINES)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(ABOUT + HEAD + rows, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == ABOUT + HEAD + rows
