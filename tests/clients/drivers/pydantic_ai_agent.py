"""Runs of pydantic-ai agents with the server as a toolset and a test model of pydantic-ai, which needs no provider."""

import asyncio
import json
from typing import Any

from fastmcp.client.transports import StdioTransport  # type: ignore[import-not-found] # installed in its own environment
from pydantic_ai import Agent  # type: ignore[import-not-found] # the same
from pydantic_ai.mcp import MCPToolset  # type: ignore[import-not-found] # the same
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart  # type: ignore[import-not-found] # the same
from pydantic_ai.models.function import AgentInfo, FunctionModel  # type: ignore[import-not-found] # the same
from pydantic_ai.models.test import TestModel  # type: ignore[import-not-found] # the same

from python_steps import given, take


async def main() -> None:
    server, _ = given()
    async with MCPToolset(StdioTransport(server["command"], server["args"], env=server["env"])) as toolset:

        async def run(model: Any) -> dict[str, Any]:
            result = await Agent(model, toolsets=[toolset]).run("Begin.")
            return {"messages": json.loads(ModelMessagesTypeAdapter.dump_json(result.all_messages()))}

        async def test_run(asked: dict[str, Any]) -> dict[str, Any]:
            return await run(TestModel(call_tools=asked["tools"]))

        async def call(asked: dict[str, Any]) -> dict[str, Any]:
            def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
                if len(messages) > 1:
                    return ModelResponse(parts=[TextPart("That was all.")])
                return ModelResponse(parts=[ToolCallPart(asked["name"], asked["arguments"])])

            return await run(FunctionModel(model))

        await take({"test_run": test_run, "call": call})


asyncio.run(main())
