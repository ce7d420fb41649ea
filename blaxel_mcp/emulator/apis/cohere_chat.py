"""Chat: `/v2/chat`, whole or as a stream of events (Cohere API reference, Chat v2)."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.answers import prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.cohere_chat_request import CohereChatRequest, parse_cohere_chat_request
from blaxel_mcp.emulator.apis.event_stream import named_events
from blaxel_mcp.emulator.apis.replies import Ending, Reply, identifier, reply_to, thought_about
from blaxel_mcp.emulator.platform.provider_errors import cohere_error

_FINISH_REASONS: dict[Ending, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "stop_text": "STOP_SEQUENCE",
    "tool": "TOOL_CALL",
}


async def serve(call: ProviderCall) -> Response:
    """Answer a chat request.

    An absent `model` is filled in, as the gateway does.

    Raises:
        RefusedError: Cohere would refuse the body.
    """
    if (call.body.get("model") or call.model_id) != call.model_id:
        message = "make sure the correct model ID was used and that you have access to the model."
        raise cohere_error(404, f"model '{call.body['model']}' not found, {message}")
    if "cohere-chat" not in call.record.apis:
        raise cohere_error(400, f"model '{call.model_id}' is not supported by the chat API")
    request = parse_cohere_chat_request(call.body)
    chat = _chat(call, request, reply_to(request.chat))
    return named_events(_events(chat)) if request.chat.stream else JSONResponse(chat)


def _chat(call: ProviderCall, request: CohereChatRequest, reply: Reply) -> dict[str, Any]:
    thought = thought_about(request.chat) if request.thinking else ""
    tokens = {
        "input_tokens": prompt_tokens(request.chat),
        "output_tokens": len(tokens_of(thought)) + reply.output_tokens,
    }
    return {
        "id": identifier("", call.body),
        "finish_reason": _FINISH_REASONS[reply.ending],
        "message": {"role": "assistant", **_message(reply, thought)},
        "usage": {"billed_units": tokens, "tokens": tokens},
    }


def _message(reply: Reply, thought: str) -> dict[str, Any]:
    thinking = [{"type": "thinking", "thinking": thought}] if thought else []
    if reply.tool_call is None:
        return {"content": [*thinking, {"type": "text", "text": reply.text}]}
    function = {"name": reply.tool_call.name, "arguments": reply.tool_call.arguments_json}
    calls = {"tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    plan = {"tool_plan": f"I will call {function['name']}."}
    return {"content": thinking, **plan, **calls} if thinking else {**plan, **calls}


def _events(chat: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the message in pieces: its head, each content block, each tool call, and how it ends."""
    message = chat["message"]
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"id": chat["id"], "type": "message-start", "delta": {"message": empty}}
    for index, block in enumerate(message.get("content", ())):
        yield from _content_events(index, block)
    for token in tokens_of(message.get("tool_plan", "")):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": token}}}
    for index, call in enumerate(message.get("tool_calls", ())):
        yield from _call_events(index, call)
    ending = {"finish_reason": chat["finish_reason"], "usage": chat["usage"]}
    yield {"id": chat["id"], "type": "message-end", "delta": ending}


def _content_events(index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = block["type"]
    yield _event("content-start", index, {"content": {"type": kind, kind: ""}})
    for token in tokens_of(block[kind]):
        yield _event("content-delta", index, {"content": {kind: token}})
    yield {"type": "content-end", "index": index}


def _call_events(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    started = call | {"function": call["function"] | {"arguments": ""}}
    yield _event("tool-call-start", index, {"tool_calls": started})
    for token in tokens_of(call["function"]["arguments"]):
        yield _event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": token}}})
    yield {"type": "tool-call-end", "index": index}


def _event(kind: str, index: int, message: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}
