"""What a client is told of a call that goes on without it, and the tool that stops one."""

from typing import Any

import mcp_types as types

from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.receipt import Receipt
from blaxel_mcp.tools.calls import KEPT_SECONDS, MOST_KEPT, Call, CallRegistry
from blaxel_mcp.tools.registry import Tool
from blaxel_mcp.tools.results.results import value_result

_SO_FAR_CHARS = 2000

_STOPS_A_CALL = types.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)

_CANCEL_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"call_id": {"type": "string", "description": "The handle of the call."}},
    "required": ["call_id"],
}


def handle_result(call: Call, calls: CallRegistry, *, prefix: str) -> types.CallToolResult:
    """The result of a call that is still going on: its handle, what has come so far, and what to do next."""
    value: dict[str, Any] = {
        "call_id": call.call_id,
        "state": "running",
        "progress": calls.state(call),
        "so_far": call.receipt.live.text[-_SO_FAR_CHARS:],
        "next": f'The model is still at it. Call {prefix}read_result with {{"call_id": "{call.call_id}", '
        f'"wait_seconds": 50}} for the answer; do not send the request again, which would be paid for twice.',
    }
    return value_result(value, call.receipt)


def unknown_call(call_id: str) -> BlaxelError:
    """Make the error for a handle that was never given here."""
    return BlaxelError(
        f"No call {literal(call_id)} is known here.",
        code="not_found",
        origin="caller",
        hint="Take the call_id from the result that handed the call back. It is known to the server process that "
        "gave it alone.",
    )


def expired_call(call_id: str) -> BlaxelError:
    """Make the error for a handle that was given too long ago."""
    return BlaxelError(
        f"The handle {call_id!r} has expired.",
        code="not_found",
        origin="local",
        hint=f"A handle is kept for {KEPT_SECONDS / 60:g} minutes after the end of its call, and the last {MOST_KEPT} "
        "of them. Call the model again if its answer is still needed; that is paid for again.",
    )


def cancel_call_tool(calls: CallRegistry, *, prefix: str) -> Tool:
    """Make the tool `cancel_call`."""

    async def run(arguments: JSONObject, receipt: Receipt) -> types.CallToolResult:
        call = calls.find(arguments["call_id"])
        if call is None:
            missing = expired_call if calls.has_expired(arguments["call_id"]) else unknown_call
            raise missing(arguments["call_id"])
        state = "finished" if call.done.is_set() else "cancelled"
        call.scope.cancel()
        await call.done.wait()
        return value_result({"call_id": call.call_id, "state": state}, receipt)

    definition = types.Tool(
        name=f"{prefix}cancel_call",
        title="Stop a Blaxel call",
        description="Stops a call that was handed back as a handle: its request is aborted, its answer lost.",
        input_schema=_CANCEL_SCHEMA,
        annotations=_STOPS_A_CALL,
    )
    accepted = {**_CANCEL_SCHEMA, "additionalProperties": False}
    return Tool(definition, ArgumentValidator(accepted, owner="The schema of cancel_call"), run)
