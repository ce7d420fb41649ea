"""The smallest possible server on the same SDK and HTTP client: the unit of every ratio.

`python -m benchmarks.bare URL MODELS [--http PORT]` serves one tool per model, which posts its prompt to the URL and
returns the answer. It has no settings, checks, receipts, limits, redaction, truncation or error handling.
"""

import argparse
import json
from functools import partial
from typing import Any

import anyio
import httpx
import mcp_types as types
import uvicorn
from mcp.server import Server
from mcp.server.stdio import stdio_server

from benchmarks.models import EVENTS, PROMPT, model_names

SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string", "examples": [PROMPT]}}, "required": ["prompt"]}


async def list_tools(tools: list[types.Tool], *_: Any) -> types.ListToolsResult:
    """List one tool per model."""
    return types.ListToolsResult(tools=tools)


async def call_tool(http: httpx.AsyncClient, _: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Post the prompt, and return the JSON of the answer, or the text of an event stream as it came."""
    prompt = (params.arguments or {})["prompt"]
    body = {"model": params.name, "messages": [{"role": "user", "content": prompt}]}
    if params.name == EVENTS:
        async with http.stream("POST", f"/models/{params.name}", json=body) as response:
            text = "".join([part async for part in response.aiter_text()])
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])
    answer = (await http.post(f"/models/{params.name}", json=body)).json()
    content = types.TextContent(type="text", text=json.dumps(answer))
    return types.CallToolResult(content=[content], structured_content=answer)


async def serve(url: str, models: int, port: int) -> None:
    """Serve on stdio, or over HTTP if a port is given."""
    tools = [types.Tool(name=name, description="A model.", input_schema=SCHEMA) for name in model_names(models)]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http:  # noqa: S113 - loopback only
        server: Server[Any] = Server(
            "bare", version="1", on_list_tools=partial(list_tools, tools), on_call_tool=partial(call_tool, http)
        )
        if port:
            app = server.streamable_http_app(stateless_http=True)
            await uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none")).serve()
        else:
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("models", type=int)
    parser.add_argument("--http", type=int, default=0)
    options = parser.parse_args()
    anyio.run(serve, options.url, options.models, options.http)


if __name__ == "__main__":
    main()
