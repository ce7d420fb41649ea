"""LangChain's tools of the server, from langchain-mcp-adapters, which uses version 1 of the Python SDK."""

import asyncio
from typing import Any

from langchain_mcp_adapters.client import MultiServerMCPClient  # type: ignore[import-not-found] # in its own environment
from langchain_mcp_adapters.tools import load_mcp_tools  # type: ignore[import-not-found] # the same

from python_steps import given, take


async def main() -> None:
    spec, _ = given()
    client = MultiServerMCPClient({"blaxel": {"transport": "stdio", **spec}})
    async with client.session("blaxel") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def list_tools(_: dict[str, Any]) -> dict[str, Any]:
            return {"tools": [{"name": name, "args": tool.args} for name, tool in tools.items()]}

        async def call(asked: dict[str, Any]) -> dict[str, Any]:
            given = {"type": "tool_call", "id": "1", "name": asked["name"], "args": asked["arguments"]}
            message = await tools[asked["name"]].ainvoke(given)
            return {name: getattr(message, name) for name in ("content", "artifact", "status")}

        await take({"list": list_tools, "call": call})


asyncio.run(main())
