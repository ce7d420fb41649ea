"""A raw client of streamable HTTP: a number of kept connections, each with one call in flight."""

import asyncio
import json
import time
from typing import Any, Literal

from benchmarks.driver import BenchmarkError, Call, check

Era = Literal["2025", "2026"]
VERSIONS: dict[Era, str] = {"2025": "2025-06-18", "2026": "2026-07-28"}
START_SECONDS = 60

_RETRY_SECONDS = 0.02


def request(call: Call, era: Era, port: int) -> bytes:
    """Return the bytes of a request that calls a tool in this era of the protocol."""
    version = VERSIONS[era]
    parameters: dict[str, Any] = {"name": call.tool, "arguments": call.arguments}
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
    }
    if era == "2026":
        headers |= {"MCP-Method": "tools/call", "MCP-Name": call.tool}
        meta = {
            "protocolVersion": version,
            "clientInfo": {"name": "benchmarks", "version": "1"},
            "clientCapabilities": {},
        }
        parameters["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}).encode()
    headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP response, and return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        _, _, length = head.partition(b"content-length:")
        return await reader.readexactly(int(length.partition(b"\r\n")[0]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


def message_in(body: bytes) -> bytes:
    """Return the JSON-RPC message in a body: the body itself, or the last event of a stream."""
    data = [line.removeprefix(b"data:") for line in body.splitlines() if line.startswith(b"data:") and b"{" in line]
    return data[-1] if data else body


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a port, once a server listens there.

    Raises:
        BenchmarkError: None did within a minute.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(_RETRY_SECONDS)
    raise BenchmarkError(f"nothing listens on port {port} after {START_SECONDS} s")


async def flow(call: Call, era: Era, port: int, count: int, in_flight: int) -> float:
    """Return the calls per second while each of some connections makes one call after another."""
    connections = [await connected(port) for _ in range(in_flight)]
    data, bodies = request(call, era, port), list[bytes]()

    async def make_calls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(count // in_flight):
            writer.write(data)
            bodies.append(await read_answer(reader))

    started = time.perf_counter()
    await asyncio.gather(*(make_calls(*connection) for connection in connections))
    elapsed = time.perf_counter() - started
    for _, writer in connections:
        writer.close()
    for body in bodies:
        check(message_in(body))
    return len(bodies) / elapsed


def calls_per_second(call: Call, era: Era, port: int, count: int, in_flight: int) -> float:
    """Return the rate of calls over HTTP, after a tenth of them as a warm-up.

    Raises:
        BenchmarkError: The server answered with an error, or closed a connection.
    """

    async def warm_up_and_measure() -> float:
        await flow(call, era, port, max(in_flight, count // 10), in_flight)
        return await flow(call, era, port, count, in_flight)

    try:
        return asyncio.run(warm_up_and_measure())
    except (OSError, EOFError, ValueError) as error:
        raise BenchmarkError(f"the server broke off an HTTP answer: {error!r}") from error
