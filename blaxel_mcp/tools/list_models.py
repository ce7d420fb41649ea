"""The tool `list_models`, which agents call before `run_model`."""

import mcp_types as types

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.catalog.listing import MODELS_PER_PAGE, MODELS_WITH_SCHEMA, ModelListing
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import value_result
from blaxel_mcp.tools.visibility import Visibility

_ONLY_READS = types.ToolAnnotations(read_only_hint=True)

_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "Text in the name or description."},
        "offset": {"type": "integer", "minimum": 0, "description": "`next_offset` of the previous page."},
    },
}


def list_models_tool(listing: ModelListing, visibility: Visibility, *, prefix: str) -> Tool:
    """Return the tool `list_models`, filtered for its caller."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        page = await listing.page(query=arguments.get("query", ""), offset=arguments.get("offset", 0))
        return value_result(visibility.page(page), context)

    definition = types.Tool(
        name=f"{prefix}list_models",
        description=f"Lists the models: name, API, path, status, tool, price. {MODELS_PER_PAGE} per page; with their "
        f"schemas if {MODELS_WITH_SCHEMA} or fewer match.",
        input_schema=_SCHEMA,
        annotations=_ONLY_READS,
    )
    accepted = {**_SCHEMA, "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of list_models"), run)
