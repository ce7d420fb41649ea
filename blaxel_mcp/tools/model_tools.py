"""One tool per configured model: its arguments are the request body of the model's API."""

from collections.abc import Sequence

import mcp_types as types

from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.hints import tell_nearest
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.policy import model_policy
from blaxel_mcp.tools.results.results import ResultPolicy, shape

CALLS_A_MODEL = types.ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
"""A call costs money and asks a service outside; it changes nothing that could be lost."""


def model_tools(catalog: Catalog, inference: Inference, policy: ResultPolicy, *, most: int) -> list[Tool]:
    """A tool for each of the first `most` models; the others stay reachable through `run_model`."""
    return [_model_tool(entry, inference, policy, catalog.names) for entry in catalog.entries[:most]]


def entry_invocation(entry: CatalogEntry, arguments: JSONObject) -> Invocation:
    """What a call of a model's tool asks for.

    Raises:
        InvalidArgumentsError: the arguments contradict each other.
    """
    return Invocation(
        model=entry.name,
        own_path=entry.path,
        api=entry.api,
        arguments=arguments,
        settings=entry.settings,
    )


def _model_tool(entry: CatalogEntry, inference: Inference, policy: ResultPolicy, names: Sequence[str]) -> Tool:
    policy = model_policy(policy, entry.api, entry.settings)

    async def run(arguments: JSONObject, receipt: Receipt) -> types.CallToolResult:
        try:
            answer = await inference.run(entry_invocation(entry, arguments), receipt)
        except BlaxelError as error:
            tell_nearest(error, entry.name, names)
            raise
        return await shape(answer, receipt, policy)

    definition = types.Tool(
        name=entry.tool,
        title=entry.title,
        description=entry.description,
        input_schema=entry.input_schema,
        annotations=CALLS_A_MODEL,
    )
    return Tool(definition, entry.reader, run, calls_a_model=True)
