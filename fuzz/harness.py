"""A server that receives any bytes, and what must never result from them."""

import asyncio
import gzip
import itertools
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.shared.message import SessionMessage

from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.server.stdio.frames import is_refusal, read_frame
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings

LONGEST_CALL_SECONDS = 10.0

MAX_ANSWER_BYTES = 200_000
"""2,000 characters twice, and 20,000 of a broken answer, if each character has to be escaped."""

SECTION = b"\x1e"
KEY = "fuzz-key-CANARY-0123456789"
KEY_MARK = b"@KEY@"
"""Stands in a body for the key of the request: an upstream that echoes it."""

APIS = (
    *("chat-completions", "responses", "messages", "generate-content", "cohere-chat", "embeddings", "images", "speech"),
    *("rerank", "raw"),
)
MANY_MARKS = {b"@ONES@": b"1," * 20_000, b"@OBJECTS@": b"{}," * 20_000, b"@LETTERS@": b"a" * 20_000}
"""Stand in arguments for many values, of which an input has no room."""

TOOLS = (*(f"m-{api}" for api in APIS), "m-own", "run_model", "list_models", "read_result", "cancel_call")
OWN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "pattern": "^(a+)+$"},
        "names": {"patternProperties": {"^(x+x+)+y": {"type": "integer"}}, "additionalProperties": False},
        "items": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/node"}},
        "node": {"$ref": "#/$defs/node"},
    },
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["left"]},
                {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["right"]},
                {"type": "integer"},
            ]
        }
    },
}
"""A schema of the owner's with all that can take long."""

ENDLESS = frozenset({"subscriptions/listen"})
"""Methods that are answered by a stream as long as the session."""


class FindingError(Exception):
    """A result that no input may have."""


class Upstream(httpx.AsyncBaseTransport):
    """An upstream that answers as the input says."""

    def __init__(self) -> None:
        self.head = b""
        self.body = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        await request.aread()
        first, *lines = self.head.splitlines() or [b""]
        _, status, content_type, encoding = (first.split(b" ") + [b""] * 4)[:4]
        echoed = request.headers.get("x-blaxel-authorization", request.headers.get("authorization", ""))
        body = self.body.replace(KEY_MARK, echoed.encode())
        headers = [(b"content-type", _printable(content_type)), *(_header(line) for line in lines[:20])]
        if encoding:
            headers.append((b"content-encoding", b"gzip"))
        stream = _Chunks(gzip.compress(body, 1) if encoding == b"gzip" else body)
        return httpx.Response(_status(status), headers=headers, stream=stream)


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # The place of the cut depends on the body, so that an input always means the same.
        middle = sum(self._body[:64]) % (len(self._body) + 1)
        for chunk in (self._body[:middle], self._body[middle:]):
            yield chunk


def _status(text: bytes) -> int:
    return min(max(int(text), 100), 599) if text.isdigit() and len(text) < 4 else 200  # noqa: PLR2004 - three digits


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    plain = bytes(byte for byte in name.lower() if chr(byte).isalnum() or byte in b"-_")
    return plain or b"x", _printable(value.strip())


def _printable(value: bytes) -> bytes:
    """Return the bytes that a header can hold once the HTTP library has read it."""
    return bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F)  # noqa: PLR2004 - control characters


class Harness:
    """A server that receives every input."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.log = _Errors()
        self._loop = asyncio.new_event_loop()
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._numbers = itertools.count(1)
        logging.getLogger("blaxel_mcp").addHandler(self.log)
        self._serving = self._loop.create_task(self._serve())
        self._loop.run_until_complete(asyncio.wait_for(self._ready.wait(), 30))

    def check(self, data: bytes) -> None:
        """Try one input.

        Raises:
            FindingError: The result is one that no input may have.
        """
        self._loop.run_until_complete(self._check(data))

    def close(self) -> None:
        """End the server."""
        self._ended.set()
        self._loop.run_until_complete(self._serving)

    async def _serve(self) -> None:
        server = build_server(
            _configuration(), environment=Environment(transport=self.upstream, clock=RetryClock(sleep=_at_once))
        )
        self._to_server, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        writing, self._from_server = anyio.create_memory_object_stream[SessionMessage](1000)
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, reading, writing, server.create_initialization_options())
            client = {"name": "fuzz", "version": "1"}
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
            await self._ask("initialize", hello)
            await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            self._ready.set()
            await self._ended.wait()
            group.cancel_scope.cancel()

    async def _check(self, data: bytes) -> None:
        head, given, body = (data.split(SECTION, 2) + [b""] * 3)[:3]
        self.upstream.head, self.upstream.body = head, body
        frame = read_frame(_line(head, given))
        if is_refusal(frame):
            self._look_at(frame)
            return
        await self._to_server.send(SessionMessage(frame))
        answers = await self._until_quiet(frame)
        for answer in answers:
            self._look_at(answer)
        wanted = isinstance(frame, types.JSONRPCRequest) and frame.method not in ENDLESS
        if len(answers) != wanted:
            raise FindingError(f"{len(answers)} answers to {frame!r}")

    async def _until_quiet(self, frame: types.JSONRPCMessage) -> list[types.JSONRPCMessage]:
        """Return all answers up to that of a `ping`, which is sent once the frame is answered."""
        found: list[types.JSONRPCMessage] = []
        try:
            with anyio.fail_after(LONGEST_CALL_SECONDS):
                if isinstance(frame, types.JSONRPCRequest) and frame.method not in ENDLESS:
                    found.append(await _next_answer(self._from_server))
                ping = await self._ask_number("ping", {})
                while (answer := await _next_answer(self._from_server)).id != ping:
                    found.append(answer)
        except TimeoutError:
            raise FindingError(f"no answer to {frame!r}") from None
        return found

    def _look_at(self, answer: Any) -> None:
        written = answer.model_dump_json(by_alias=True, exclude_unset=True)
        if "CANARY" in written:
            raise FindingError(f"the key is in an answer: {written[:2000]}")
        if len(written.encode()) > MAX_ANSWER_BYTES:
            raise FindingError(f"an answer of {len(written):,} characters: {written[:500]}")
        if isinstance(answer, types.JSONRPCError) and answer.error.code >= 0:
            raise FindingError(f"an exception is in an answer: {written[:2000]}")
        if self.log.records:
            raise FindingError(f"an error is in the log: {self.log.take()}")

    async def _ask(self, method: str, params: dict[str, Any]) -> None:
        number = await self._ask_number(method, params)
        while (await _next_answer(self._from_server)).id != number:
            pass

    async def _ask_number(self, method: str, params: dict[str, Any]) -> str:
        number = f"harness-{next(self._numbers)}"
        await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    async def _send(self, message: dict[str, Any]) -> None:
        await self._to_server.send(SessionMessage(types.jsonrpc_message_adapter.validate_python(message)))


class _Errors(logging.Handler):
    """A handler that keeps log records of errors: the server logs one for what it does not expect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def take(self) -> str:
        text = "\n".join(logging.Formatter().format(record) for record in self.records)
        self.records.clear()
        return text


async def _next_answer(frames: MemoryObjectReceiveStream[SessionMessage]) -> Any:
    while True:
        message = (await frames.receive()).message
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            return message


async def _at_once(_seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


def _line(head: bytes, given: bytes) -> bytes:
    """Return the frame of an input: its own, or a call of a tool with its arguments."""
    tool = head.partition(b" ")[0].decode("ascii", "replace")
    if tool == "frame":
        return given
    for mark, values in MANY_MARKS.items():
        # Once: an input of marks alone would be as large as the limit of a frame.
        given = given.replace(mark, values, 1)
    name = tool if tool in TOOLS else TOOLS[sum(tool.encode()) % len(TOOLS)]
    begin = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    params = b'{"name": "%s", "arguments": %s}' % (name.encode(), given or b"{}")
    return json.dumps(begin).encode()[:-1] + b', "params": ' + params + b"}"


def _configuration() -> Any:
    models: list[dict[str, Any]] = [{"name": f"m-{api}", "api": api} for api in APIS if api != "generate-content"]
    models.append({"name": "m-generate-content", "api": "generate-content", "path": "/v1beta/models/x:generateContent"})
    models.append({"name": "m-own", "api": "raw", "input_schema": OWN_SCHEMA})
    values = {
        "workspace": "fuzz",
        "api_key": KEY,
        "run_url": "http://127.0.0.1:1",
        "api_url": "http://127.0.0.1:1/v0",
        "discovery": {"enabled": False},
        "budget": {"ledger": ":memory:"},
        "limits": {"max_result_chars": 2000, "max_media_bytes": 4000, "max_response_bytes": 100_000},
        "models": [{**model, "price": {"input": 1.0, "output": 1.0}} for model in models],
    }
    return Configuration(Settings.model_validate(values))
