"""The client of fastmcp in the given era."""

import asyncio
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found] # installed in an environment of its own
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport  # type: ignore[import-not-found] # the same

from python_steps import Calls, given, take


async def main() -> None:
    server, era = given()
    if "url" in server:
        transport = StreamableHttpTransport(server["url"], headers=server.get("headers"))
    else:
        transport = StdioTransport(server["command"], server["args"], env=server["env"])
    async with Client(transport, mode=era) as client:

        async def call(asked: dict[str, Any], **options: Any) -> dict[str, Any]:
            result = await client.call_tool_mcp(asked["name"], asked["arguments"], **options)
            return _json(result)

        async def progress(asked: dict[str, Any]) -> dict[str, Any]:
            notifications: list[dict[str, Any]] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                notifications.append({"progress": progress, "total": total, "message": message})

            return {**await call(asked, progress_handler=note), "progress": notifications}

        async def hello(_: dict[str, Any]) -> dict[str, Any]:
            info, instructions = _json(client.server_info), client.instructions
            return {"serverInfo": info, "instructions": instructions, "protocolVersion": client.protocol_version}

        async def list_tools(_: dict[str, Any]) -> dict[str, Any]:
            return _json(await client.list_tools_mcp())

        async def read(asked: dict[str, Any]) -> dict[str, Any]:
            return _json(await client.read_resource_mcp(asked["uri"]))

        calls = Calls(call)
        steps = {"hello": hello, "list": list_tools, "read": read, "call": call, "progress": progress}
        await take({**steps, "start": calls.start, "cancel": calls.cancel})


def _json(model: Any) -> dict[str, Any]:
    value: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


asyncio.run(main())
