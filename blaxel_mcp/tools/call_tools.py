"""The tools for calls that were made: `read_result`, for any part of a recent answer, verbatim, and `cancel_call`.

Results of `read_result` have no structured content: several clients show that in place of the text, where it would be
JSON within JSON, and one of them drops images beside it. A second block and `_meta` say where in the answer the part
is.
"""

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.json_pointer import MAX_POINTER_CHARS
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.media_types import shown_media_type
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import RECEIPT_KEY, build_receipt
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.calls import CallRegistry
from blaxel_mcp.tools.handles import detach_seconds, expired_call, lost_call, running_result
from blaxel_mcp.tools.registry import Tool, closed_validator
from blaxel_mcp.tools.results.content_blocks import call_uri, link_block, media_block, text_block
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.results.parts import AnswerPart, PartRequest, read_part
from blaxel_mcp.tools.results.results import ResultPolicy, value_result
from blaxel_mcp.tools.results.truncation import AnswerRef
from blaxel_mcp.tools.store.store import CallStore, unknown_call
from blaxel_mcp.tools.store.stored_answers import INLINE_BYTES

PART_KEY = "blaxel-mcp/part"

_PARTS = frozenset({"pointer", "offset", "length"})
"""The arguments that pick a part of an answer."""

LAST = "last"
"""In place of a call's id: the caller's latest call with an answer or a handle."""

_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {
        "call_id": {"type": "string", "description": "A call's id, or last."},
        "pointer": {
            "type": "string",
            "description": "JSON Pointer, such as /choices/0/message/content. Default: the text.",
        },
        "offset": {"type": "integer", "minimum": 0, "description": "The first item of an array, or character."},
        "length": {"type": "integer", "minimum": 1, "description": "How many of these."},
        "wait_seconds": {
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "description": "How long to wait for a running call.",
        },
    },
    "required": ["call_id"],
}


def read_result_tool(policy: ResultPolicy, calls: CallRegistry) -> Tool:
    """Return the tool `read_result`."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        if arguments["call_id"] == LAST:
            arguments["call_id"] = await policy.store.last_shared() or _last_call(calls, policy.store)
        if handled := await _handled(arguments, calls, policy.settings):
            return handled
        try:
            return await read_result(arguments, context, policy)
        except BlaxelError as error:
            if error.code == "not_found" and calls.has_expired(arguments["call_id"]):
                raise expired_call(arguments["call_id"]) from None
            raise

    definition = types.Tool(
        name=policy.reader,
        description="Reads more of a recent or truncated answer, or the answer of a call that returned a handle.",
        input_schema=_SCHEMA,
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    pointer = {**_SCHEMA["properties"]["pointer"], "maxLength": MAX_POINTER_CHARS}
    properties = {**_SCHEMA["properties"], "pointer": pointer}
    return Tool(definition, closed_validator(definition, {**_SCHEMA, "properties": properties}), run)


def _last_call(calls: CallRegistry, store: CallStore) -> str:
    for call_id in reversed(calls.recent):
        if calls.find(call_id) or store.has(call_id):
            return call_id
    raise BlaxelError(
        "No call of yours has an answer here.",
        code="not_found",
        origin="caller",
        hint="Call a model first. If another server process answered the last one, give its call_id.",
    )


async def _handled(arguments: JSONObject, calls: CallRegistry, settings: Settings) -> types.CallToolResult | None:
    """Return the state or the result of a call with a handle; None if it has to be read from its answer."""
    call_id, seconds = arguments["call_id"], arguments.get("wait_seconds", 0)
    seconds, prefix = min(seconds, detach_seconds(settings) or seconds), settings.tools.prefix
    if call := calls.find(call_id):
        await call.wait(seconds)
        if not call.done:
            return running_result(call.context, call.seen(), prefix=prefix)
        result = call.task.result()
        assert isinstance(result, types.CallToolResult), "a handle asks nobody"
    else:
        record = await calls.elsewhere(call_id, seconds)
        if record is None:
            return None
        if record.state == "lost":
            raise lost_call(call_id, record.seen)
        if record.result is None:
            return running_result(CallContext(call_id=call_id, model=record.seen.model), record.seen, prefix=prefix)
        result = types.CallToolResult.model_validate_json(record.result)
    return result if result.is_error or not arguments.keys() & _PARTS else None


async def read_result(arguments: JSONObject, context: CallContext, policy: ResultPolicy) -> types.CallToolResult:
    """Return the part of an answer that the arguments request.

    Raises:
        BlaxelError: `not_found`: the answer is unknown or was removed.
        InvalidArgumentsError: The pointer or the offset leads nowhere.
    """
    ref = AnswerRef(arguments["call_id"], policy.reader)
    request = PartRequest(arguments.get("pointer"), arguments.get("offset"), arguments.get("length"))
    answer = await policy.store.get(ref.call_id)
    limits = policy.settings.limits

    def read() -> AnswerPart:
        if answer.kind == "binary":
            return AnswerPart(None, "bytes", 0, len(answer.data), media=(Media(answer.data, answer.media_type),))
        is_json = answer.kind == "json"
        return read_part(answer.text, request, is_json=is_json, limit=limits.max_result_chars, ref=ref)

    is_light = answer.kind == "binary" or len(answer.data) <= INLINE_BYTES
    part = read() if is_light else await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    receipt = build_receipt(context, truncated=part.truncated or part.next_offset is not None)
    details = {
        "call_id": ref.call_id,
        "pointer": request.pointer and text_block(request.pointer).text,
        "unit": part.unit,
        "offset": part.offset,
        "length": part.end - part.offset,
        "total": part.total,
        "next_offset": part.next_offset,
    }
    blocks = _blocks(part, ref.call_id, limits.max_media_bytes)
    return types.CallToolResult(
        content=[*blocks, text_block(_position(part, request, ref))],
        _meta={RECEIPT_KEY: receipt, PART_KEY: details},
    )


def _blocks(part: AnswerPart, call_id: str, limit: int) -> list[types.ContentBlock]:
    blocks: list[types.ContentBlock] = [] if part.text is None else [text_block(part.text)]
    for medium in part.media:
        uri = call_uri(call_id, medium.pointer)
        if len(medium.data) <= limit:
            limit -= len(medium.data)
            blocks.append(media_block(medium, uri))
        else:
            blocks.append(link_block(medium, uri, f"{shown_media_type(medium.media_type)} too large for a result"))
    return blocks


def _position(part: AnswerPart, request: PartRequest, ref: AnswerRef) -> str:
    if part.unit == "bytes":
        return f"[{part.total:,} bytes]"
    if part.next_offset is None and part.offset == 0:
        return f"[complete: {part.size}]"
    position = f"{part.unit} {part.offset:,} to {part.end:,} of {part.total:,}"
    if part.next_offset is None:
        return f"[{position}, the end]"
    return f"[{position}; continue with {ref.read_call(pointer=request.pointer, offset=part.next_offset)}]"


_CANCEL_SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"call_id": {"type": "string", "description": "The handle."}},
    "required": ["call_id"],
}

_CANCELLED_STATES = {"running": "cancelling", "cancelled": "cancelled"}
"""The state to report of a call of another server: it may not have heard of the cancellation yet."""


def cancel_call_tool(calls: CallRegistry, *, prefix: str) -> Tool:
    """Return the tool `cancel_call`."""

    async def run(arguments: JSONObject, context: CallContext) -> types.CallToolResult:
        call_id: str = arguments["call_id"]
        call = calls.find(call_id)
        if call is None:
            record = await calls.elsewhere(call_id, cancels=True)
            if record is None:
                raise (expired_call if calls.has_expired(call_id) else unknown_call)(call_id)
            if record.state == "lost":
                raise lost_call(call_id, record.seen)
            state = _CANCELLED_STATES.get(record.state, "finished")
        else:
            state = "finished" if call.done else "cancelled"
            call.cancel()
            await call.wait(None)
        return value_result({"call_id": call_id, "state": state}, context)

    definition = types.Tool(
        name=f"{prefix}cancel_call",
        description="Stops a call that returned a handle: its request is aborted.",
        input_schema=_CANCEL_SCHEMA,
        annotations=types.ToolAnnotations(idempotent_hint=True),
    )
    return Tool(definition, closed_validator(definition), run)
