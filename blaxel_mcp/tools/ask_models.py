"""The tool `ask_models`: one question to several models at once. It reports their answers and does not merge them."""

from collections.abc import Sequence

import anyio
import mcp_types as types

from blaxel_mcp.budget.usage import Usage
from blaxel_mcp.catalog.catalog import Catalog, qualified_model
from blaxel_mcp.catalog.control_plane import Lookup
from blaxel_mcp.catalog.entry import CatalogEntry, make_entry
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.access import check_access
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
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import ToolSettings
from blaxel_mcp.tools.model_tools import CALLS_A_MODEL
from blaxel_mcp.tools.registry import Tool, closed_validator
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result
from blaxel_mcp.tools.results.truncation import AnswerRef, truncate_text
from blaxel_mcp.tools.visibility import Visibility

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


def ask_models_tool(catalog: Catalog, runtime: Runtime, policy: ResultPolicy, visibility: Visibility) -> Tool:
    """Return the tool, whose errors of single models are those that its caller may see."""
    embedder = next((entry for entry in catalog.entries if entry.api.name == "embeddings"), None)

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        names = dict.fromkeys(arguments["models"])
        need, seconds = arguments.get("need"), arguments.get("deadline_seconds")
        if need is not None and need > len(names):
            message = f"`need` is {need}, which is more than the models that are asked ({len(names)})."
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
        value: JSONObject = {"answers": [_report(one, policy, visibility, len(asked)) for one in asked]}
        value |= (similarity := await _similarity(asked, embedder, runtime, context, visibility))
        _add_up(asked, context, similarity.get("similarity", {}).get("cost_usd") or 0.0)
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
    accepted = {**_SCHEMA, "properties": {**_SCHEMA["properties"], **limits}}
    return Tool(definition, closed_validator(definition, accepted), run, calls_a_model=True)


def _own_context(context: CallContext, name: str, catalog: Catalog) -> CallContext:
    return CallContext(
        tool=context.tool,
        client=context.client,
        model=name,
        model_names=catalog.names,
        before_sending=context.before_sending,
    )


async def _invocation(name: str, arguments: JSONObject, catalog: Catalog, runtime: Runtime) -> Invocation:
    """Return the call of one model's own tool; BlaxelError if the model is not known, or takes no question."""
    entry = catalog.find(name) or await _looked_up(name, runtime)
    values = {question_field(entry, QUESTION_FIELDS, "a question"): arguments["prompt"]}
    if system := arguments.get("system"):
        values[question_field(entry, SYSTEM_FIELDS, "system instructions")] = system
    valid, _ = entry.schema.validator.validate(values)
    return Invocation.of_entry(entry, valid)


async def _looked_up(name: str, runtime: Runtime) -> CatalogEntry:
    """Return the entry of a model that the catalog does not have, by its record in the control plane."""
    settings = runtime.config.settings
    model = qualified_model(name, settings.known_workspaces) or ModelSettings(name=check_model_name(name))
    # First: otherwise a caller could find out which models exist.
    check_access(settings.access, model.name)
    workspace = model.workspace or settings.workspace
    lookup = await runtime.control_plane.find(workspace, model.name) if workspace else Lookup(None)
    if lookup.record:
        return make_entry(model, name, lookup.record)
    if lookup.error and lookup.error.code not in {"not_found", "unknown_model"}:
        raise BlaxelError(
            f"The model {name!r} was not asked, because {lookup.problem}.",
            code=lookup.error.code,
            origin=lookup.error.origin,
            hint=lookup.error.hint,
            retryable=lookup.error.retryable,
        )
    raise BlaxelError(
        f"The model {name!r} is not known, so it was not asked.",
        code="unknown_model",
        origin="caller",
        hint="list_models has the names.",
    )


def _report(one: AskedModel, policy: ResultPolicy, visibility: Visibility, count: int) -> JSONObject:
    receipt, text = one.receipt, one.text
    assert receipt is not None, "every call has ended"
    if text is not None:
        limit = max(_MIN_CHARS, policy.settings.limits.max_result_chars // (count + 1))
        text = truncate_text(text, limit=limit, ref=AnswerRef(one.context.call_id, policy.reader)).text
    error = one.error and {"code": one.error.code, "message": _shown(one.error, visibility), "billed": one.error.billed}
    return {
        "model": one.model,
        **({"text": text} if error is None else {"error": error}),
        "seconds": round(receipt["elapsed_ms"] / 1000, 1),
        "tokens": receipt["usage"] and receipt["usage"]["total_tokens"],
        "cost_usd": receipt["cost_usd"],
        "call_id": one.context.call_id,
    }


def _shown(error: BlaxelError, visibility: Visibility) -> str:
    return " ".join(filter(None, visibility.failure(error.code, error.origin, error.message, error.hint)))


async def _similarity(
    asked: Sequence[AskedModel],
    embedder: CatalogEntry | None,
    runtime: Runtime,
    context: CallContext,
    visibility: Visibility,
) -> JSONObject:
    """Return the similarity of two answers or more, if there is an embedding model.

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
        context.notes.append(f"the similarity of the answers is missing: {_shown(error, visibility)}")
    return {}


def _add_up(asked: Sequence[AskedModel], context: CallContext, embedding_usd: float) -> None:
    """Set the usage of all answers and the cost of all calls together, where every answer has them."""
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
        context.cost_usd = sum(costs) + embedding_usd
