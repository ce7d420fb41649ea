"""Chat: `/v2/chat`, whole or as a stream of events (Cohere API reference, Chat v2)."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.cohere_chat_request import parse_cohere_chat_request
from blaxel_mcp.emulator.apis.completions import StopReason, body_id, complete, prompt_tokens, thought_about, tokens_of
from blaxel_mcp.emulator.apis.conversation import ChatRequest
from blaxel_mcp.emulator.apis.event_stream import named_events
from blaxel_mcp.emulator.platform.provider_errors import cohere_error

_FINISH_REASONS: dict[StopReason, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "stop_text": "STOP_SEQUENCE",
    "tool": "TOOL_CALL",
}


async def handle(call: ProviderCall) -> Response:
    """Answer a chat request.

    An absent `model` is filled in, as the gateway does.

    Raises:
        RefusalError: Cohere would refuse the body.
    """
    if (call.body.get("model") or call.model_id) != call.model_id:
        message = "make sure the correct model ID was used and that you have access to the model."
        raise cohere_error(404, f"model '{call.body['model']}' not found, {message}")
    if "cohere-chat" not in call.record.apis:
        raise cohere_error(400, f"model '{call.model_id}' is not supported by the chat API")
    request = parse_cohere_chat_request(call.body)
    answer = _cohere_answer(call, request)
    return named_events(_cohere_events(answer)) if request.stream else JSONResponse(answer)


def _cohere_answer(call: ProviderCall, request: ChatRequest) -> dict[str, Any]:
    completion = complete(request)
    thought = thought_about(request) if request.thinking else ""
    content: list[dict[str, Any]] = [{"type": "thinking", "thinking": thought}] if thought else []
    message: dict[str, Any] = {"role": "assistant"}
    if completion.tool_call is None:
        message["content"] = [*content, {"type": "text", "text": completion.text}]
    else:
        function = {"name": completion.tool_call.name, "arguments": completion.tool_call.arguments_json}
        if content:
            message["content"] = content
        message["tool_plan"] = f"I will call {function['name']}."
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    tokens = {
        "input_tokens": prompt_tokens(request),
        "output_tokens": len(tokens_of(thought)) + completion.output_tokens,
    }
    return {
        "id": body_id("", call.body),
        "finish_reason": _FINISH_REASONS[completion.stop_reason],
        "message": message,
        "usage": {"billed_units": tokens, "tokens": tokens},
    }


def _cohere_events(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an answer in pieces: its head, each content block, each tool call, and the finish reason."""
    message = answer["message"]
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"id": answer["id"], "type": "message-start", "delta": {"message": empty}}
    for index, block in enumerate(message.get("content", ())):
        kind = block["type"]
        yield _event("content-start", index, {"content": {"type": kind, kind: ""}})
        for token in tokens_of(block[kind]):
            yield _event("content-delta", index, {"content": {kind: token}})
        yield {"type": "content-end", "index": index}
    for token in tokens_of(message.get("tool_plan", "")):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": token}}}
    for index, call in enumerate(message.get("tool_calls", ())):
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        yield _event("tool-call-start", index, {"tool_calls": begun})
        for token in tokens_of(call["function"]["arguments"]):
            yield _event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": token}}})
        yield {"type": "tool-call-end", "index": index}
    ending = {"finish_reason": answer["finish_reason"], "usage": answer["usage"]}
    yield {"id": answer["id"], "type": "message-end", "delta": ending}


def _event(kind: str, index: int, message: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}
