"""The MCP client of the OpenAI agents SDK."""

import asyncio
from typing import Any

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp

from python_steps import Calls, given, take

SECONDS = 30
"""It gives up after five of its own accord, which is short for a model."""


def server_of(spec: dict[str, Any]) -> MCPServerStdio | MCPServerStreamableHttp:
    if "url" in spec:
        parameters = {"url": spec["url"], "headers": spec.get("headers", {})}
        return MCPServerStreamableHttp(parameters, client_session_timeout_seconds=SECONDS)  # type: ignore[arg-type]
    return MCPServerStdio(spec, client_session_timeout_seconds=SECONDS)  # type: ignore[arg-type]


async def main() -> None:
    spec, _ = given()
    async with server_of(spec) as server:

        async def call(asked: dict[str, Any]) -> dict[str, Any]:
            return _json(await server.call_tool(asked["name"], asked["arguments"]))

        async def list_tools(_: dict[str, Any]) -> dict[str, Any]:
            return {"tools": [_json(tool) for tool in await server.list_tools()]}

        calls = Calls(call)
        await take({"list": list_tools, "call": call, "start": calls.start, "cancel": calls.cancel})


def _json(model: Any) -> dict[str, Any]:
    value: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


asyncio.run(main())
