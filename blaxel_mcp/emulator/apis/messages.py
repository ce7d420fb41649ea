"""Messages: `/v1/messages`, whole or as a stream of events (Anthropic API reference, Messages)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.answers import prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.event_stream import named_events
from blaxel_mcp.emulator.apis.messages_request import MessagesRequest, parse_messages_request
from blaxel_mcp.emulator.apis.replies import Ending, Reply, identifier, reply_to, thought_about
from blaxel_mcp.emulator.platform.provider_errors import anthropic_error

_STOP_REASONS: dict[Ending, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_text": "stop_sequence",
    "tool": "tool_use",
}


async def serve(call: ProviderCall) -> Response:
    """Answer a message request.

    An absent `model` is filled in, as the gateway does.

    Raises:
        RefusedError: Anthropic would refuse the body.
    """
    request = parse_messages_request(call.body)
    if call.body.get("model", call.model_id) != call.model_id:
        raise anthropic_error(404, f"model: {call.body['model']}")
    message = _message(call, request, reply_to(request.chat))
    return named_events(_events(message)) if request.chat.stream else JSONResponse(message)


def _message(call: ProviderCall, request: MessagesRequest, reply: Reply) -> dict[str, Any]:
    thought = thought_about(request.chat) if request.thinking else ""
    return {
        "id": identifier("msg_", call.body),
        "type": "message",
        "role": "assistant",
        "model": call.model_id,
        "content": [*_thinking(thought), *_content(reply)],
        "stop_reason": _STOP_REASONS[reply.ending],
        "stop_sequence": reply.stop_text,
        "usage": {
            "input_tokens": prompt_tokens(request.chat),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": len(tokens_of(thought)) + reply.output_tokens,
            "service_tier": "standard",
        },
    }


def _thinking(thought: str) -> list[dict[str, Any]]:
    signature = hashlib.sha256(thought.encode()).hexdigest()
    return [{"type": "thinking", "thinking": thought, "signature": signature}] if thought else []


def _content(reply: Reply) -> list[dict[str, Any]]:
    if reply.tool_call is not None:
        tool = reply.tool_call
        return [{"type": "tool_use", "id": "toolu_1", "name": tool.name, "input": tool.arguments}]
    return [{"type": "text", "text": reply.text}] if reply.tokens else []


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the message in pieces: its head, each block's start, deltas and stop, and how it ends."""
    usage = message["usage"]
    head: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": message | head}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        empty, deltas = _pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it starts, and what is then added to it."""
    match block["type"]:
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": token} for token in tokens_of(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            spelled = tokens_of(json.dumps(block["input"], ensure_ascii=False))
            return block | {"input": {}}, [
                {"type": "input_json_delta", "partial_json": token} for token in ["", *spelled]
            ]
    return block | {"text": ""}, [{"type": "text_delta", "text": token} for token in tokens_of(block["text"])]
