"""The ends of a soak test, each with its own counts: the client, the transport and the platform."""

import collections
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from blaxel_mcp.emulator import Emulator, RecordedRequest
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.server import build_server
from blaxel_mcp.settings.loading import Configuration
from tests.support.connecting import no_wait


class CountingEmulator(Emulator):
    """An emulator that counts the requests to each model."""

    def __init__(self) -> None:
        super().__init__()
        self.requests_kept = 100
        self.counted: collections.Counter[str] = collections.Counter()

    def record(self, request: RecordedRequest) -> None:
        """Count and record a request."""
        if request.path.startswith("/demo/models/"):
            self.counted[request.path.split("/")[3]] += 1
        super().record(request)


class CountingTransport(httpx.AsyncHTTPTransport):
    """A transport that reads the usage in each answer, with no code of the server."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: collections.Counter[str] = collections.Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the usage in its answer."""
        response = await super().handle_async_request(request)
        model = request.url.path.split("/")[3] if "/models/" in request.url.path else ""
        if model in ("house-chat", "house-embed", "fault-201"):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Passing(response.stream, self.tokens, model)
        return response


class _Passing(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, tokens: collections.Counter[str], model: str) -> None:
        self._stream = stream
        self._tokens = tokens
        self._model = model

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = b""
        async for chunk in self._stream:
            body += chunk
            yield chunk
        for line in body.splitlines():
            text = line.removeprefix(b"data: ")
            usage = json.loads(text).get("usage") if text.startswith(b"{") else None
            self._tokens[self._model] += usage["total_tokens"] if usage else 0

    async def aclose(self) -> None:
        await self._stream.aclose()


class Session:
    """The client's side of one connection, which counts the answers to each request."""

    def __init__(self, to_server: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        self._to_server = to_server
        self._numbers = itertools.count(1)
        self._waiting: dict[int, anyio.Event] = {}
        self._replies: dict[int, dict[str, Any]] = {}
        self.unasked: list[Any] = []

    async def listen(self, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Receive the frames that the server writes."""
        async for item in from_server:
            reply = json.loads(item.message.model_dump_json(by_alias=True, exclude_unset=True))
            event = self._waiting.pop(reply.get("id"), None)
            if event is None:
                self.unasked.append(reply)
            else:
                self._replies[reply["id"]] = reply
                event.set()

    async def request(self, method: str, params: Mapping[str, Any]) -> Any:
        """Send a request, and return its result."""
        number, event = await self.begin(method, params)
        await event.wait()
        return self._replies.pop(number)["result"]

    async def begin(self, method: str, params: Mapping[str, Any]) -> tuple[int, anyio.Event]:
        """Send a request, and return its id and the event of its answer."""
        number, event = next(self._numbers), anyio.Event()
        self._waiting[number] = event
        await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number, event

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification."""
        await self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def forget(self, number: int) -> None:
        """Expect no further answer to a request."""
        self._waiting.pop(number, None)

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._to_server.send(SessionMessage(types.jsonrpc_message_adapter.validate_python(message)))


@asynccontextmanager
async def session(config: Configuration, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Session]:
    """Connect a client of the handshake era to a server."""
    server = build_server(config, environment=Environment(transport=transport, clock=RetryClock(sleep=no_wait)))
    to_server, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    client = Session(to_server)
    async with anyio.create_task_group() as group:
        group.start_soon(client.listen, from_server)
        group.start_soon(server.run, reading, writing, server.create_initialization_options())
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
        await client.request("initialize", hello)
        await client.notify("notifications/initialized", {})
        yield client
        to_server.close()
