"""The tool `cancel_call`."""

import mcp_types as types

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.calls import CallRegistry
from blaxel_mcp.tools.handles import expired_call, lost_call
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import value_result
from blaxel_mcp.tools.store.store import unknown_call

_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"call_id": {"type": "string", "description": "The handle."}},
    "required": ["call_id"],
}

_STATES = {"running": "cancelling", "cancelled": "cancelled"}
"""The state to report of a call of another server: it may not have heard of the cancellation yet."""


def cancel_call_tool(calls: CallRegistry, *, prefix: str) -> Tool:
    """Return the tool."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        call_id: str = arguments["call_id"]
        call = calls.find(call_id)
        if call is None:
            record = await calls.elsewhere(call_id, cancels=True)
            if record is None:
                raise (expired_call if calls.has_expired(call_id) else unknown_call)(call_id)
            if record.state == "lost":
                raise lost_call(call_id, record.seen)
            state = _STATES.get(record.state, "finished")
        else:
            state = "finished" if call.done else "cancelled"
            call.cancel()
            await call.wait(None)
        return value_result({"call_id": call_id, "state": state}, context)

    definition = types.Tool(
        name=f"{prefix}cancel_call",
        description="Stops a call that returned a handle: its request is aborted.",
        input_schema=_SCHEMA,
        annotations=types.ToolAnnotations(idempotent_hint=True),
    )
    accepted = {**_SCHEMA, "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of cancel_call"), run)
