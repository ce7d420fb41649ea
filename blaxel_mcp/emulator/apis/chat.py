"""Chat completions: `/v1/chat/completions`, whole or as a stream of events (OpenAI API reference, Chat completions)."""

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.chat_request import parse_chat_request
from blaxel_mcp.emulator.apis.completions import Completion, StopReason, body_id, complete, prompt_tokens
from blaxel_mcp.emulator.apis.conversation import ChatRequest
from blaxel_mcp.emulator.apis.event_stream import chat_events
from blaxel_mcp.emulator.apis.openai_body import check_model
from blaxel_mcp.emulator.platform.errors import openai_error
from blaxel_mcp.emulator.platform.upstream import forward

_FINISH_REASONS: dict[StopReason, str] = {"stop": "stop", "length": "length", "stop_text": "stop", "tool": "tool_calls"}


async def handle(call: ProviderCall) -> Response:
    """Answer a chat completion.

    An absent `model` is filled in, as the gateway does: Blaxel's own cookbooks omit it.

    Raises:
        RefusalError: OpenAI would refuse the body, or the upstream server does not answer.
    """
    check_model(call)
    if "chat-completions" not in call.record.apis:
        raise openai_error(404, "This is not a chat model and thus not supported here.", param="model")
    request = parse_chat_request(call.body)
    if call.emulator.upstream is not None:
        body = json.dumps({"model": call.model_id} | call.body).encode()
        return await forward(call.emulator.upstream, call.path, body)
    completion = complete(request)
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.tool_call is not None:
        function = {"name": completion.tool_call.name, "arguments": completion.tool_call.arguments_json}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    sent, received = prompt_tokens(request), completion.output_tokens * request.choices
    choice = {"message": message, "finish_reason": _FINISH_REASONS[completion.stop_reason]}
    answer = {
        "id": body_id("chatcmpl-", call.body),
        "created": int(call.emulator.now()),
        "model": call.model_id,
        "object": "chat.completion",
        "choices": [{"index": index, **choice} for index in range(request.choices)],
        "usage": {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received},
    }
    return chat_events(_chat_chunks(request, completion, answer)) if request.stream else JSONResponse(answer)


def _chat_chunks(request: ChatRequest, completion: Completion, answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a completion in pieces: role, tokens, finish reason, and the usage if requested."""
    head = {**answer, "object": "chat.completion.chunk"}
    usage = head.pop("usage")
    if request.include_usage:
        head["usage"] = None
    for choice in answer["choices"]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": token} for token in completion.tokens]
        if completion.tool_call is not None:
            calls = [{"index": index, **call} for index, call in enumerate(choice["message"]["tool_calls"])]
            deltas = [{"role": "assistant", "content": None, "tool_calls": calls}]
        for delta in deltas:
            yield {**head, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": None}]}
        ending = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        yield {**head, "choices": [ending]}
    if request.include_usage:
        yield {**head, "choices": [], "usage": usage}
