"""One tool per configured model: its arguments are the request body of the model's API."""

import mcp_types as types

from blaxel_mcp.apis.base import JSONObject
from blaxel_mcp.catalog import Catalog, CatalogEntry
from blaxel_mcp.inference import Inference
from blaxel_mcp.invocation import Invocation
from blaxel_mcp.receipt import Receipt
from blaxel_mcp.result_policy import model_policy
from blaxel_mcp.results import ResultPolicy, shape
from blaxel_mcp.tools import Tool

CALLS_A_MODEL = types.ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
"""A call costs money and asks a service outside; it changes nothing that could be lost."""


def model_tools(catalog: Catalog, inference: Inference, policy: ResultPolicy, *, most: int) -> list[Tool]:
    """A tool for each of the first `most` models; the others stay reachable through `run_model`."""
    return [_model_tool(entry, inference, policy) for entry in catalog.entries[:most]]


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


def _model_tool(entry: CatalogEntry, inference: Inference, policy: ResultPolicy) -> Tool:
    policy = model_policy(policy, entry.api, entry.settings)

    async def run(arguments: JSONObject, receipt: Receipt) -> types.CallToolResult:
        answer = await inference.run(entry_invocation(entry, arguments), receipt)
        return await shape(answer, receipt, policy)

    definition = types.Tool(
        name=entry.tool,
        title=entry.title,
        description=entry.description,
        input_schema=entry.input_schema,
        annotations=CALLS_A_MODEL,
    )
    return Tool(definition, entry.reader, run, calls_a_model=True)
