"""The parameters of requests: known deviations of clients are repaired, and errors name the wrong parameter."""

from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from blaxel_mcp.apis.arguments import WHOLE_ARGUMENTS
from blaxel_mcp.core.redaction import literal

_MAX_PROBLEMS = 3

_EXPECTED = {
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "missing": "is required",
}
"""The problem, by pydantic's name of the error."""

_TYPE_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "an array",
}

_ORDINARY = frozenset(("name", "arguments", "_meta"))
_JSON_STARTS = ("{", '"', "```")


def repair_params(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Coroutine[Any, Any, HandlerResult]:
    """Pass a request on, as middleware of the SDK, before it validates the parameters.

    The arguments of a tool may be one JSON string, or an empty list or string for none. A null `progressToken` counts
    as absent.

    Raises:
        MCPError: -32602, with the name and the problem of each wrong parameter.
    """
    params = ctx.params
    if ctx.method == "tools/call" and isinstance(params, Mapping) and params.keys() <= _ORDINARY:
        meta = params.get("_meta")
        has_token = meta is None or (isinstance(meta, dict) and isinstance(meta.get("progressToken", ""), str | int))
        if has_token and isinstance(params.get("name"), str) and isinstance(params.get("arguments"), dict):
            # Without a coroutine of our own, an ordinary call has one frame less.
            return cast("Coroutine[Any, Any, HandlerResult]", call_next(ctx))
    return _explained(ctx, call_next)


async def _explained(context: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    params = context.params
    if isinstance(params, Mapping):
        params = dict(params)
        meta, arguments = params.get("_meta"), params.get("arguments")
        if isinstance(meta, dict) and meta.get("progressToken", 0) is None:
            params["_meta"] = {name: value for name, value in meta.items() if name != "progressToken"}
        if context.method == "tools/call":
            if arguments in ([], ""):
                params["arguments"] = {}
            elif isinstance(arguments, str) and arguments.lstrip().startswith(_JSON_STARTS):
                # The tool's validator parses it, and adds the repair to the receipt.
                params["arguments"] = {WHOLE_ARGUMENTS: arguments}
        context = replace(context, params=params)
    try:
        return await call_next(context)
    except ValidationError as error:
        problems = map(_problem, error.errors(include_url=False, include_context=False)[:_MAX_PROBLEMS])
        message = f"Invalid request parameters: {'; '.join(dict.fromkeys(problems))}."
        raise MCPError(code=types.INVALID_PARAMS, message=message) from None


def _problem(error: Any) -> str:
    """Return the name of a parameter and its problem."""
    # A place in one of several alternatives ends in the alternative's type.
    place = ".".join(str(step) for step in error["loc"] if step not in ("str", "int")) or "params"
    expected = _EXPECTED.get(error["type"])
    if expected is None:
        return f"{literal(place)}: {error['msg']}"
    actual = "" if error["type"] == "missing" else f", got {_TYPE_NAMES.get(type(error['input']), 'null')}"
    return f"{literal(place)} {expected}{actual}"
