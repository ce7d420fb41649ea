"""A plain httpx loop: it reads JSON-RPC lines and posts each call, without any MCP SDK.

`python -m benchmarks.loop URL MODELS` shows what the HTTP client costs alone, with its connection pool.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx

from benchmarks.models import model_names

_STDOUT = 1


def answer(request_id: Any, result: dict[str, Any]) -> None:
    """Write one answer."""
    line = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}).encode() + b"\n"
    while line:
        line = line[os.write(_STDOUT, line) :]


async def requests() -> AsyncIterator[dict[str, Any]]:
    """Yield each message of stdin."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def call(http: httpx.AsyncClient, message: dict[str, Any]) -> None:
    """Post the prompt and write the answer."""
    name, arguments = message["params"]["name"], message["params"]["arguments"]
    body = {"model": name, "messages": [{"role": "user", "content": arguments["prompt"]}]}
    response = await http.post(f"/models/{name}", json=body)
    answer(message["id"], {"content": [{"type": "text", "text": response.text}]})


async def serve(url: str, models: int) -> None:
    """Serve on stdio until the end of input."""
    prepared: dict[str, dict[str, Any]] = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "loop"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in model_names(models)]},
    }
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http,  # noqa: S113 - loopback only
        asyncio.TaskGroup() as tasks,
    ):
        async for message in requests():
            if message["method"] == "tools/call":
                tasks.create_task(call(http, message))
            elif message["method"] in prepared:
                answer(message["id"], prepared[message["method"]])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
