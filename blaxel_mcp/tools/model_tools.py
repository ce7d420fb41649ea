"""One tool per model: its arguments are the request body of the model's API."""

from collections.abc import Sequence

import mcp_types as types

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result

CALLS_A_MODEL = types.ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
"""A call costs money and asks an outside service; it destroys nothing."""


def model_tools(catalog: Catalog, inference: Inference, policy: ResultPolicy, *, limit: int) -> list[Tool]:
    """Return a tool for each of the first `limit` models; the others stay reachable through `run_model`."""
    return [_model_tool(entry, inference, policy, catalog.names) for entry in catalog.entries[:limit]]


def _model_tool(entry: CatalogEntry, inference: Inference, policy: ResultPolicy, names: Sequence[str]) -> Tool:
    own_policy = policy.for_model(entry.api, entry.settings)

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        context.model_names = names
        answer = await inference.run(Invocation.of_entry(entry, arguments), context)
        return await answer_result(answer, context, own_policy)

    definition = types.Tool(
        name=entry.tool,
        title=entry.title,
        description=entry.description,
        input_schema=entry.input_schema,
        annotations=CALLS_A_MODEL,
    )
    return Tool(definition, entry.validator, run, calls_a_model=True)
