"""Tool definitions in the converters of agent frameworks, as the models of three providers see them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import mcp_types as types
import pytest
from agents.mcp import MCPServerStdio
from agents.mcp.util import MCPUtil
from google.genai._mcp_utils import mcp_to_gemini_tool

from blaxel_mcp.apis import APIS
from blaxel_mcp.emulator import Emulator
from tests.support.connecting import connect, leading_to

pytestmark = pytest.mark.anyio

MODELS = [{"name": f"model-{api.name}", "api": api.name} for api in APIS]

_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
"""The property names that Anthropic's API accepts; any other fails the whole request."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@pytest.fixture
async def tools(emulator: Emulator) -> list[types.Tool]:
    """The tools of a server with a model of each API."""
    async with connect(leading_to(emulator, models=MODELS)) as client:
        return (await client.list_tools()).tools


def free_objects(schema: Any, path: str = "$") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects in a schema that name no properties, with their paths."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" and not schema.get("properties"):
            yield path, schema
        for name, inner in schema.items():
            yield from free_objects(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from free_objects(inner, f"{path}[{index}]")


async def test_the_openai_agents_sdk_leaves_free_objects_free(tools: list[types.Tool]) -> None:
    server = MCPServerStdio(
        {"command": "blaxel-mcp"}
    )  # never started: converting a definition only asks it for its policies
    for tool in tools:
        converted = MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True)
        assert converted.name == tool.name
        assert converted.params_json_schema["properties"].keys() == tool.input_schema["properties"].keys()
        closed = [
            path
            for path, schema in free_objects(converted.params_json_schema)
            if schema.get("additionalProperties") is False
        ]
        assert closed == []


async def test_google_genai_takes_every_tool_with_all_its_arguments(tools: list[types.Tool]) -> None:
    for tool in tools:
        (declaration,) = mcp_to_gemini_tool(tool).function_declarations or []
        assert declaration.name == tool.name
        parameters = declaration.parameters
        assert parameters is not None
        assert (parameters.properties or {}).keys() == tool.input_schema["properties"].keys()
        assert (parameters.required or []) == tool.input_schema.get("required", [])


async def test_anthropics_rules_hold_for_every_tool(tools: list[types.Tool]) -> None:
    for tool in tools:
        assert _NAME.fullmatch(tool.name)
        assert tool.input_schema["type"] == "object"
        assert not tool.input_schema.keys() & {"oneOf", "anyOf", "allOf"}
        assert all(_KEY.fullmatch(name) for name in tool.input_schema["properties"])
