"""The result app, an MCP App (extension `io.modelcontextprotocol/ui`) that shows the answer of a call to people.

Hosts show it in a sandbox, beside the answer of a tool that names it. It reaches this server only through its host.
Only clients that declare the extension see it in the list of tools.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.server.pages.bundle import build_page
from blaxel_mcp.tools.registry import Tool

RESULT_URI = "ui://blaxel/result.html"
_APP_TYPE = "text/html;profile=mcp-app"
_READER = "app_resource"

_RULES = {"connect-src": "'none'", "img-src": "data:", "media-src": "data:"}
_META = {
    "ui": {
        "csp": {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []},
        "permissions": {"clipboardWrite": {}},
        "prefersBorder": True,
    }
}
"""No connections and no external sources; copying a text needs the permission (MCP Apps, UI resource format)."""

_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"uri": {"type": "string", "description": "The URI of a resource."}},
    "required": ["uri"],
}

ResourceContents = types.TextResourceContents | types.BlobResourceContents


def shows_apps(context: ServerRequestContext[Any, Any]) -> bool:
    """Return whether the client has declared that it shows apps."""
    capabilities = context.session.client_capabilities
    if capabilities is None or not capabilities.extensions:
        return False
    # The start of every client without extensions would pay for this import.
    from mcp.server.apps import client_supports_apps  # noqa: PLC0415

    return client_supports_apps(context)


def result_app(prefix: str, *, has_reader: bool) -> types.TextResourceContents:
    """Return the app as the contents of its resource.

    With `has_reader`, the tool `read_result` is listed, with which the app pages through long texts.
    """
    return types.TextResourceContents(
        uri=RESULT_URI, mime_type=_APP_TYPE, text=_document(prefix, has_reader=has_reader), _meta=_META
    )


def shown_in_app(tools: Iterable[Tool], *, prefix: str) -> list[types.Tool]:
    """Return the definitions for a client that shows apps: tools that return a model's answer name the app."""
    shown = {"ui": {"resourceUri": RESULT_URI}}
    return [
        tool.definition.model_copy(update={"meta": shown})
        if (tool.calls_a_model and tool.name != f"{prefix}ask_models") or tool.name == f"{prefix}read_result"
        else tool.definition
        for tool in tools
    ]


def app_reader_tool(read: Callable[[str], Awaitable[ResourceContents]], *, prefix: str) -> Tool:
    """Return the tool with which the app reads resources, for hosts that pass on only tool calls.

    Hosts do not show it to the model (MCP Apps, visibility).
    """

    async def run(arguments: JSONObject, _: CallContext) -> types.CallToolResult:
        try:
            contents = await read(arguments["uri"])
        except MCPError as error:
            raise BlaxelError(error.message, code="not_found", origin="caller") from None
        return types.CallToolResult(content=[types.EmbeddedResource(type="resource", resource=contents)])

    definition = types.Tool(
        name=f"{prefix}{_READER}",
        description="Reads a resource of this server, for the result app.",
        input_schema=_SCHEMA,
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        _meta={"ui": {"resourceUri": RESULT_URI, "visibility": ["app"]}},
    )
    accepted = {**_SCHEMA, "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of the app's tool"), run, is_for_apps=True)


@lru_cache(maxsize=4)
def _document(prefix: str, *, has_reader: bool) -> str:
    page = build_page("result.html", "result_main.js", _RULES)
    config = {"reader": f"{prefix}read_result" if has_reader else None, "resources": f"{prefix}{_READER}"}
    import html  # noqa: PLC0415 - it has the names of all characters: 0.3 MB

    policy = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(page.policy)}">'
    document = page.html.replace("<!-- policy -->", policy)
    return document.replace('id="config">{}', f'id="config">{json.dumps(config)}')
