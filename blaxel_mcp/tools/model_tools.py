"""The tools of the models: one per model, or one per API with the model as an argument."""

from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as types

from blaxel_mcp.apis import APIS
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result

CALLS_A_MODEL = types.ToolAnnotations(destructive_hint=False)
"""A call costs money and asks an outside service, as the specification assumes by default; it destroys nothing."""


def model_tools(catalog: Catalog, inference: Inference, policy: ResultPolicy) -> list[Tool]:
    """Return the tools of the models in the layout of the settings; `run_model` calls each model without a tool."""
    settings = policy.settings.tools
    match settings.layout:
        case "per-model":
            entries = catalog.entries[: settings.max_tools]
            names = catalog.names
            return [_model_tool(entry, inference, policy, names) for entry in entries]
        case "per-api":
            return _api_tools(catalog, inference, policy, settings.prefix)
        case "generic":
            return []


def _model_tool(entry: CatalogEntry, inference: Inference, policy: ResultPolicy, names: Sequence[str]) -> Tool:
    own_policy = policy.for_model(entry.api, entry.settings)

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        context.model_names = names
        own = entry.schema.result_arguments
        call_policy = own_policy if own.isdisjoint(arguments) else own_policy.for_call(arguments, own)
        answer = await inference.run(Invocation.of_entry(entry, arguments), context)
        return await answer_result(answer, context, call_policy)

    definition = types.Tool(
        name=entry.tool,
        # Without a title, clients show the name.
        title=entry.title if entry.title != entry.tool else None,
        description=entry.description,
        input_schema=entry.schema.listed,
        annotations=CALLS_A_MODEL,
    )
    may_repeat = entry.settings.idempotent
    return Tool(definition, entry.schema.validator, run, calls_a_model=True, may_repeat=lambda _: may_repeat)


def _api_tools(catalog: Catalog, inference: Inference, policy: ResultPolicy, prefix: str) -> list[Tool]:
    """Return a tool for each API that a model speaks. Its arguments are those of the models' own tools, and `model`."""
    names, tools = catalog.names, []
    for api in APIS:
        entries = [entry for entry in catalog.entries if entry.api is api]
        own = {catalog.reference(entry): _model_tool(entry, inference, policy, names) for entry in entries}
        if own:
            tools.append(_api_tool(f"{prefix}{api.name}", api.summary, api.listed_schema(), own))
    return tools


def _api_tool(name: str, summary: str, schema: JSONObject, tools: Mapping[str, Tool]) -> Tool:
    """Return the tool of an API, given the tools of its models by the models' names."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        model = arguments.pop("model")
        return await tools[model].run(arguments, context)

    model = {"type": "string", "enum": list(tools)}
    definition = types.Tool(
        name=name,
        description=summary,
        input_schema={
            **schema,
            "properties": {"model": model, **schema["properties"]},
            "required": ["model", *schema.get("required", ())],
        },
        annotations=CALLS_A_MODEL,
    )

    def may_repeat(arguments: Mapping[str, Any]) -> bool:
        tool = tools.get(str(arguments.get("model")))
        return tool is not None and tool.may_repeat(arguments)

    validator = _ModelChoice(definition.input_schema, tools)
    return Tool(definition, validator, run, calls_a_model=True, may_repeat=may_repeat)


class _ModelChoice(ArgumentValidator):
    """Validates the arguments of an API's tool: the model, and the rest as that model's own tool does."""

    def __init__(self, listed: JSONObject, tools: Mapping[str, Tool]) -> None:
        chosen = {"type": "object", "properties": {"model": listed["properties"]["model"]}, "required": ["model"]}
        super().__init__(chosen, advertised=listed, owner="The schema of an API's tool")
        self._tools = tools
        self.is_plain = all(tool.validator.is_plain for tool in tools.values())

    def validate(self, arguments: Mapping[str, Any]) -> tuple[JSONObject, list[str]]:
        """Return the arguments, repaired and validated, and one sentence for each repair."""
        chosen, repairs = super().validate(arguments)
        model = chosen.pop("model")
        own, more = self._tools[model].validator.validate(chosen)
        return {"model": model, **own}, repairs + more
