"""The tool `run_model`: any model, any sub-endpoint, any JSON body."""

import urllib.parse
from typing import Any, get_args

import mcp_types as types

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.base import FREE_FORM
from blaxel_mcp.catalog.catalog import Catalog
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.hints import tell_nearest
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.invocation import Invocation, Method
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.tools.model_tools import CALLS_A_MODEL
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.policy import model_policy
from blaxel_mcp.tools.results.results import ResultPolicy, shape

_METHODS = list(get_args(Method))
_MAX_NAMES = 1000
"""Characters of model names in the description: some clients cut it at two thousand."""


def run_model_tool(catalog: Catalog, inference: Inference, policy: ResultPolicy, *, prefix: str) -> Tool:
    """Make the tool. Its description names the configured models as far as they fit."""

    async def run(arguments: JSONObject, receipt: Receipt) -> types.CallToolResult:
        invocation = read_invocation(arguments, catalog)
        try:
            answer = await inference.run(invocation, receipt)
        except BlaxelError as error:
            tell_nearest(error, invocation.model, catalog.names)
            raise
        own = model_policy(policy, receipt.api, invocation.settings)
        return await shape(answer, receipt, own)

    definition = types.Tool(
        name=f"{prefix}run_model",
        title="Run any Blaxel model",
        description=_description(catalog),
        input_schema=_schema(FREE_FORM),
        annotations=CALLS_A_MODEL,
    )
    accepted = {**_schema({"type": ["object", "array"]}), "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of run_model"), run, calls_a_model=True)


def read_invocation(arguments: JSONObject, catalog: Catalog, *, timeout_seconds: float | None = None) -> Invocation:
    """What a call of `run_model` asks for. A configured model goes by its own name or its tool's.

    Args:
        arguments: The tool's arguments, checked.
        catalog: The configured models.
        timeout_seconds: A deadline that goes before those of the settings.

    Raises:
        InvalidArgumentsError: a GET with a body.
    """
    method, body = arguments.get("method", "POST"), arguments.get("data")
    if method == "GET" and body is not None:
        raise InvalidArgumentsError(
            "A GET request carries no data.", hint="Put it into `query`, or leave `method` out to send a POST."
        )
    entry = catalog.find(arguments["model"])
    return Invocation(
        model=entry.name if entry else arguments["model"],
        path=arguments.get("path"),
        own_path=entry.path if entry and entry.names_a_path else None,
        body={} if body is None and method == "POST" else body,
        method=method,
        query=_encoded_query(arguments.get("query", {})),
        settings=entry.settings if entry else None,
        timeout_seconds=timeout_seconds,
    )


def _encoded_query(parameters: JSONObject) -> str:
    """Parameters as a query string: true and false as JSON spells them, a list as repeated names."""
    return urllib.parse.urlencode(
        [(name, _spelled(item)) for name, value in parameters.items() for item in _items(value)]
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidArgumentsError(
        "A query parameter must be a string, a number, true or false, or a list of these.",
        hint="Give nested values in `data`.",
    )


def _description(catalog: Catalog) -> str:
    text = (
        "Call any Blaxel model API of the workspace, at any of its sub-endpoints, with any JSON body. "
        "Prefer a model's own tool where there is one. "
    )
    names = ""
    for entry in catalog.entries:
        if len(names) + len(entry.name) > _MAX_NAMES:
            return f"{text}Models: {names}... (list_models has the rest)."
        names += f"{', ' if names else ''}{entry.name}"
    return f"{text}Models: {names}." if names else text.rstrip()


def _schema(data: Any) -> JSONObject:
    properties: JSONObject = {
        "model": {"type": "string", "description": "The model API's name in the workspace."},
        "path": {
            "type": "string",
            "description": "The sub-endpoint, such as /v1/chat/completions. Left out: the model's own; "
            '"/": the base endpoint.',
        },
        "data": {**data, "description": "The request body, as the endpoint expects it."},
        "method": {"type": "string", "enum": _METHODS, "description": "The HTTP method; POST if left out."},
        "query": {**FREE_FORM, "description": "Query parameters, by name."},
    }
    return {"type": "object", "properties": properties, "required": ["model"]}
