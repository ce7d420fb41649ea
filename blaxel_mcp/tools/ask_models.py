"""The tool `ask_models`: one question to several models at once. It reports their answers and does not merge them."""

from collections.abc import Sequence

import anyio
import mcp_types as types

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.budget.usage import Usage
from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.catalog.entry import CatalogEntry, make_entry
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.inference.consent import Reply
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.errors import describe
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.inference.several import (
    QUESTION_FIELDS,
    SYSTEM_FIELDS,
    AskedModel,
    ask_together,
    compare_texts,
    question_field,
)
from blaxel_mcp.settings.schema import ModelSettings, ToolSettings
from blaxel_mcp.tools.model_tools import CALLS_A_MODEL
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result
from blaxel_mcp.tools.results.truncation import truncate_text
from blaxel_mcp.tools.results.truncation_notes import AnswerRef

MAX_MODELS = 8

_SIMILARITY_SECONDS = 20.0
"""Timeout for the similarity of the answers."""

_MIN_CHARS = 1000
_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {
        "models": {"type": "array", "items": {"type": "string"}},
        "prompt": {"type": "string"},
        "system": {"type": "string"},
        "deadline_seconds": {"type": "number"},
        "need": {"type": "integer", "description": "Answers to wait for; cancels the other calls."},
    },
    "required": ["models", "prompt"],
}


def is_of_use(catalog: Catalog, settings: ToolSettings) -> bool:
    """Return whether the tool is listed: with two models that answer questions, in the layout with a tool for each.

    The other layouts are for a small list of tools; there, `tools.builtin` has to name it.
    """
    is_wanted = settings.layout == "per-model" or "builtin" in settings.model_fields_set
    return is_wanted and sum(bool(entry.api.conversation) for entry in catalog.entries) > 1


def ask_models_tool(catalog: Catalog, runtime: Runtime, policy: ResultPolicy) -> Tool:
    """Return the tool."""
    embedder = next((entry for entry in catalog.entries if entry.api.name == "embeddings"), None)

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        names = dict.fromkeys(arguments["models"])
        need, seconds = arguments.get("need"), arguments.get("deadline_seconds")
        if need is not None and need > len(names):
            message = f"`need` is {need}, but only {len(names)} models are asked."
            raise InvalidArgumentsError(message, hint="Use a smaller number; nothing was sent.")
        asked = [AskedModel(name, _own_context(context, name, catalog)) for name in names]
        for one in asked:
            try:
                one.invocation = await _invocation(one.model, arguments, catalog, runtime)
            except BlaxelError as error:
                one.fail(describe(error, one.context))
        await ask_together(runtime, asked, runtime.inference.run, context, need=need, deadline_seconds=seconds)
        for one in asked:
            if one.answer is not None:
                await policy.store.put(one.context.call_id, one.answer)
            one.context.agreed_by = context.agreed_by
        value: JSONObject = {"answers": [_report(one, policy, len(asked)) for one in asked]}
        value |= await _similarity(asked, embedder, runtime, context)
        _add_up(asked, context)
        return await answer_result(JSONAnswer(json_text.dump(value), value), context, policy.for_model(None, None))

    definition = types.Tool(
        name=f"{policy.settings.tools.prefix}ask_models",
        description=f"Asks 2 to {MAX_MODELS} models at once and returns their answers side by side"
        + (", with their similarity: one embedding call." if embedder else "."),
        input_schema=_SCHEMA,
        annotations=CALLS_A_MODEL,
    )
    limits: JSONObject = {
        "models": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_MODELS},
        "prompt": {"type": "string", "minLength": 1},
        "deadline_seconds": {"type": "number", "exclusiveMinimum": 0},
        "need": {"type": "integer", "minimum": 1},
    }
    accepted = {**_SCHEMA, "properties": {**_SCHEMA["properties"], **limits}, "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of ask_models"), run, calls_a_model=True)


def _own_context(context: CallContext, name: str, catalog: Catalog) -> CallContext:
    return CallContext(
        tool=context.tool,
        client=context.client,
        model=name,
        model_names=catalog.names,
        before_sending=context.before_sending,
    )


async def _invocation(name: str, arguments: JSONObject, catalog: Catalog, runtime: Runtime) -> Invocation:
    """Return the call of one model's own tool with the question.

    Raises:
        BlaxelError: The model is not known, or takes no question.
    """
    entry, workspace = catalog.find(name), runtime.config.settings.workspace
    if entry is None and workspace is not None:
        lookup = await runtime.control_plane.find(workspace, name)
        entry = make_entry(ModelSettings(name=name), name, lookup.record) if lookup.record else None
    if entry is None:
        raise BlaxelError(
            f"The model {name!r} is not known, so it was not asked.",
            code="unknown_model",
            origin="caller",
            hint="list_models has the names.",
        )
    values = {question_field(entry, QUESTION_FIELDS, "a question"): arguments["prompt"]}
    if system := arguments.get("system"):
        values[question_field(entry, SYSTEM_FIELDS, "system instructions")] = system
    valid, _ = entry.schema.validator.validate(values)
    return Invocation.of_entry(entry, valid)


def _report(one: AskedModel, policy: ResultPolicy, count: int) -> JSONObject:
    receipt, text = one.receipt, one.text
    assert receipt is not None, "every call has ended"
    if text is not None:
        limit = max(_MIN_CHARS, policy.settings.limits.max_result_chars // (count + 1))
        text = truncate_text(text, limit=limit, ref=AnswerRef(one.context.call_id, policy.reader)).text
    error = one.error and {"code": one.error.code, "message": str(one.error), "billed": one.error.billed}
    return {
        "model": one.model,
        **({"text": text} if error is None else {"error": error}),
        "seconds": round(receipt["elapsed_ms"] / 1000, 1),
        "tokens": receipt["usage"] and receipt["usage"]["total_tokens"],
        "cost_usd": receipt["cost_usd"],
        "call_id": one.context.call_id,
    }


async def _similarity(
    asked: Sequence[AskedModel], embedder: CatalogEntry | None, runtime: Runtime, context: CallContext
) -> JSONObject:
    """Return the similarity of the answers to each other; None with fewer than two, or without an embedding model.

    It is an extra: if the embedding fails, takes long or needs consent, the answers come back without it.
    """
    answered = [(one.model, text) for one in asked if (text := one.text)]
    if embedder is None or len(answered) < 2:  # noqa: PLR2004 - one has nothing to compare with
        return {}
    own = _own_context(context, embedder.name, runtime.discovery.catalog)

    async def nobody(_: object) -> Reply:
        return "nobody"

    own.asker = nobody
    try:
        with anyio.move_on_after(_SIMILARITY_SECONDS):
            rows = await compare_texts(runtime, embedder, [text for _, text in answered], own)
            if rows:
                cost = {"cost_usd": own.cost_usd, "model": embedder.name}
                return {"similarity": {"between": [model for model, _ in answered], "rows": rows, **cost}}
    except BlaxelError as error:
        context.notes.append(f"the similarity of the answers is missing: {error.message}")
    return {}


def _add_up(asked: Sequence[AskedModel], context: CallContext) -> None:
    """Set the usage and the cost of all calls together, where every answer has them."""
    answered = [one.context for one in asked if one.answer is not None]
    usages = [each.usage for each in answered if each.usage]
    if usages and len(usages) == len(answered):
        context.usage = Usage(
            input_tokens=sum(usage.input_tokens or 0 for usage in usages),
            output_tokens=sum(usage.output_tokens or 0 for usage in usages),
            total_tokens=sum(usage.total_tokens or 0 for usage in usages),
            estimated=any(usage.estimated for usage in usages),
        )
    costs = [each.cost_usd for each in answered if each.cost_usd is not None]
    if costs and len(costs) == len(answered):
        context.cost_usd = sum(costs)
