"""The tools `run_model`, for any model, sub-endpoint and JSON body, and `list_models`, which agents call before it."""

import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

import mcp_types as types

from blaxel_mcp.apis.base import FREE_FORM
from blaxel_mcp.catalog.catalog import Catalog, qualified_model
from blaxel_mcp.catalog.entry import ACCEPTED_SELECT, SELECT
from blaxel_mcp.catalog.listing import MODELS_PER_PAGE, MODELS_WITH_SCHEMA, ModelListing
from blaxel_mcp.client.endpoints import query_problem
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.dry_run import dry_run
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.settings.schema import HttpMethod, ToolSettings
from blaxel_mcp.tools.paid_once import CALL_KEY
from blaxel_mcp.tools.registry import Tool, closed_validator
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result, value_result
from blaxel_mcp.tools.visibility import Visibility

_METHODS: tuple[HttpMethod, ...] = get_args(HttpMethod)
_HARMLESS_METHODS = frozenset({"POST", "GET"})
"""Methods that replace and delete nothing at the provider."""

_MAX_NAMES_CHARS = 1000
"""Characters of model names in the description: some clients truncate it at two thousand."""


def run_model_tool(catalog: Catalog, runtime: Runtime, policy: ResultPolicy, visibility: Visibility) -> Tool:
    """Return the tool `run_model`. Its description names as many of the models without a tool of their own as fit."""
    settings = runtime.config.settings

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        context.model_names = catalog.names
        invocation = read_invocation(arguments, catalog, workspaces=settings.known_workspaces)
        if arguments.get("dry_run"):
            return value_result(visibility.dry_run(await dry_run(runtime, invocation, context)), context)
        policy.for_call(arguments)
        answer = await runtime.inference.run(invocation, context)
        api = context.prepared.route.api if context.prepared else None
        return await answer_result(answer, context, policy.for_model(api, invocation.settings).for_call(arguments))

    definition = types.Tool(
        name=f"{settings.tools.prefix}run_model",
        description=_description(catalog, settings.tools),
        # The layout for a short list omits rarely used arguments; they are accepted all the same.
        input_schema=_schema(FREE_FORM, settings.access.methods, is_short=settings.tools.layout == "per-api"),
        annotations=types.ToolAnnotations(destructive_hint=not _HARMLESS_METHODS.issuperset(settings.access.methods)),
    )
    # A method that is not allowed is refused later, by a message that names the setting.
    accepted = _schema({"type": ["object", "array"]}, _METHODS, select=ACCEPTED_SELECT)
    validator = closed_validator(definition, accepted)

    def may_repeat(arguments: Mapping[str, Any]) -> bool:
        # The call itself reports a name that several workspaces have.
        with suppress(InvalidArgumentsError):
            entry = catalog.find(str(arguments.get("model")))
            return entry is not None and entry.settings.idempotent
        return False

    return Tool(definition, validator, run, calls_a_model=True, takes_key=True, may_repeat=may_repeat)


_MAX_QUERY_CHARS = 8000
"""The longest query, before encoding: servers accept URLs of 8 kB or less."""


def read_invocation(arguments: JSONObject, catalog: Catalog, *, workspaces: Collection[str] = ()) -> Invocation:
    """Return the invocation of a call with valid arguments; a configured model is found by its name or its tool's.

    `workspaces` may precede the name of any other model, as in `workspace/model`.

    Raises:
        InvalidArgumentsError: Several workspaces have a model of this name, a GET has a body, or a query parameter
            cannot be encoded.
    """
    method, body = arguments.get("method", "POST"), arguments.get("data")
    if method == "GET" and body is not None:
        raise InvalidArgumentsError(
            "A GET request carries no data.", hint="Use `query`, or omit `method` to send a POST."
        )
    name = arguments["model"]
    entry = catalog.find(name)
    settings = entry.settings if entry else qualified_model(name, workspaces)
    return Invocation(
        model=settings.name if settings else name,
        path=arguments.get("path"),
        own_path=entry.path if entry and entry.path_is_known else None,
        body={} if body is None and method == "POST" else body,
        method=method,
        query=_encoded_query(arguments.get("query", {})),
        settings=settings,
    )


def _encoded_query(parameters: JSONObject) -> str:
    """Return a query string: true and false as JSON spells them, a list as repeated names."""
    pairs = [
        (name, item) for name, value in parameters.items() for item in (value if isinstance(value, list) else [value])
    ]
    # Checked before it is encoded and decoded repeatedly: a query of megabytes would block all callers.
    if sum(1 + len(name) + (len(item) if isinstance(item, str) else 1) for name, item in pairs) > _MAX_QUERY_CHARS:
        raise InvalidArgumentsError(
            f"The query has more than {_MAX_QUERY_CHARS:,} characters.", hint="Put large values in `data`."
        )
    if not all(isinstance(item, str | int | float) for _, item in pairs):
        raise InvalidArgumentsError(
            "A query parameter must be a string, a number, true or false, or a list of these.",
            hint="Put nested values in `data`.",
        )
    texts = [(name, str(item).lower() if isinstance(item, bool) else str(item)) for name, item in pairs]
    query, problem = "", "it contains half of a surrogate pair"
    with suppress(UnicodeEncodeError):
        query = urllib.parse.urlencode(texts)
        problem = query_problem(query) or ""
    if problem:
        raise InvalidArgumentsError(f"The query cannot be sent: {problem}.", hint="Correct that parameter.")
    return query


def _description(catalog: Catalog, tools: ToolSettings) -> str:
    text = "Calls any model at any sub-endpoint. Prefer a model's own tool. "
    names = ""
    own = {"per-model": tools.max_tools, "per-api": None, "generic": 0}[tools.layout]
    for entry in catalog.entries[len(catalog.entries) if own is None else own :]:
        name = catalog.reference(entry)
        if len(names) + len(name) > _MAX_NAMES_CHARS:
            return f"{text}Models: {names}... (list_models names the rest)."
        names += f"{', ' if names else ''}{name}"
    return f"{text}Models: {names}." if names else text.rstrip()


def _schema(
    data: Any, methods: Sequence[HttpMethod], *, select: JSONObject = SELECT, is_short: bool = False
) -> JSONObject:
    properties: JSONObject = {
        "model": {"type": "string"},
        "path": {
            "type": "string",
            "description": 'Such as /v1/chat/completions; "/" is the base endpoint. Default: the model\'s own.',
        },
        "data": {**data, "description": "The request body."},
        "method": {"type": "string", "enum": list(methods)},
        "query": {**FREE_FORM},
        "dry_run": {"type": "boolean", "description": "Returns request, cost and budget; sends nothing."},
    }
    if not is_short:
        properties["select"] = select
        description = "Repeated with the same key, a call is not billed again."
        properties[CALL_KEY] = {"type": "string", "maxLength": 200, "description": description}
    return {"type": "object", "properties": properties, "required": ["model"]}


_LIST_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "Text in the name or description."},
        "offset": {"type": "integer", "minimum": 0, "description": "`next_offset` of the previous page."},
    },
}


def list_models_tool(listing: ModelListing, visibility: Visibility, *, prefix: str) -> Tool:
    """Return the tool `list_models`, filtered for its caller."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        page = await listing.page(query=arguments.get("query", ""), offset=int(arguments.get("offset", 0)))
        return value_result(visibility.page(page), context)

    definition = types.Tool(
        name=f"{prefix}list_models",
        description=f"Lists the models: name, API, path, status, tool, price. {MODELS_PER_PAGE} per page; with their "
        f"schemas if {MODELS_WITH_SCHEMA} or fewer match.",
        input_schema=_LIST_SCHEMA,
        annotations=types.ToolAnnotations(read_only_hint=True),
    )
    return Tool(definition, closed_validator(definition), run)
