"""Messages: `/v1/messages`, whole or as a stream of events (Anthropic API reference, Messages)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.completions import StopReason, body_id, complete, prompt_tokens, thought_about, tokens_of
from blaxel_mcp.emulator.apis.conversation import ChatRequest
from blaxel_mcp.emulator.apis.event_stream import named_events
from blaxel_mcp.emulator.apis.messages_request import parse_messages_request
from blaxel_mcp.emulator.platform.provider_errors import anthropic_error

_STOP_REASONS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_text": "stop_sequence",
    "tool": "tool_use",
}


async def handle(call: ProviderCall) -> Response:
    """Answer a message request.

    An absent `model` is filled in, as the gateway does.

    Raises:
        RefusalError: Anthropic would refuse the body.
    """
    request = parse_messages_request(call.body)
    if call.body.get("model", call.model_id) != call.model_id:
        raise anthropic_error(404, f"model: {call.body['model']}")
    message = _answer_message(call, request)
    return named_events(_message_events(message)) if request.stream else JSONResponse(message)


def _answer_message(call: ProviderCall, request: ChatRequest) -> dict[str, Any]:
    completion = complete(request)
    content: list[dict[str, Any]] = []
    thought = thought_about(request) if request.thinking else ""
    if thought:
        signature = hashlib.sha256(thought.encode()).hexdigest()
        content.append({"type": "thinking", "thinking": thought, "signature": signature})
    if completion.tool_call is not None:
        tool = completion.tool_call
        content.append({"type": "tool_use", "id": "toolu_1", "name": tool.name, "input": tool.arguments})
    elif completion.tokens:
        content.append({"type": "text", "text": completion.text})
    return {
        "id": body_id("msg_", call.body),
        "type": "message",
        "role": "assistant",
        "model": call.model_id,
        "content": content,
        "stop_reason": _STOP_REASONS[completion.stop_reason],
        "stop_sequence": completion.stop_text,
        "usage": {
            "input_tokens": prompt_tokens(request),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": len(tokens_of(thought)) + completion.output_tokens,
            "service_tier": "standard",
        },
    }


def _message_events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message in pieces: its head, the start, deltas and stop of each block, and the stop reason."""
    usage = message["usage"]
    head = message | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        empty, deltas = _block_in_pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def _block_in_pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a content block as it starts, and the deltas that complete it."""
    match block["type"]:
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": token} for token in tokens_of(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            tokens = ["", *tokens_of(json.dumps(block["input"], ensure_ascii=False))]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": token} for token in tokens]
    return block | {"text": ""}, [{"type": "text_delta", "text": token} for token in tokens_of(block["text"])]
