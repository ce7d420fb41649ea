"""Chat completions: `/v1/chat/completions`, whole or as a stream of events (OpenAI API reference)."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel
from starlette.responses import JSONResponse, Response, StreamingResponse

from blaxel_mcp.emulator.apis.answers import answer_text, prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.chat_request import ChatRequest, Tool, parse_chat_request
from blaxel_mcp.emulator.apis.openai_fields import check_model
from blaxel_mcp.emulator.apis.schema_values import value_for
from blaxel_mcp.emulator.platform.errors import openai_error
from blaxel_mcp.emulator.platform.upstream import forward


@dataclass(frozen=True, slots=True)
class Answer:
    """What every choice of a completion holds.

    Args:
        tokens: The text, token by token.
        finish_reason: Why it ends.
        tool_calls: The functions to call instead of saying anything.
    """

    tokens: tuple[str, ...]
    finish_reason: str
    tool_calls: tuple[dict[str, Any], ...] = ()

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        if self.tool_calls:
            return {"role": "assistant", "content": None, "tool_calls": list(self.tool_calls)}
        return {"role": "assistant", "content": "".join(self.tokens)}


async def serve(call: ProviderCall) -> Response:
    """Answer a chat completion.

    An absent `model` is filled in, as the gateway does: Blaxel's own cookbooks leave it out.

    Raises:
        RefusedError: OpenAI would refuse the body, or the upstream server does not answer.
    """
    check_model(call)
    if "chat-completions" not in call.record.apis:
        raise openai_error(404, "This is not a chat model and thus not supported here.", param="model")
    request = parse_chat_request(call.body)
    if call.emulator.upstream is not None:
        body = json.dumps({"model": call.model_id} | call.body).encode()
        return await forward(call.emulator.upstream, call.path, body)
    answer = _answer(request)
    head = {"id": _completion_id(call.body), "created": int(call.emulator.now()), "model": call.model_id}
    if request.stream:
        return StreamingResponse(_events(_chunks(request, answer, head)), media_type="text/event-stream")
    choices = [
        {"index": index, "message": answer.message, "finish_reason": answer.finish_reason}
        for index in range(request.choices)
    ]
    completion = head | {"object": "chat.completion", "choices": choices, "usage": _usage(request, answer)}
    return JSONResponse(completion)


def _answer(request: ChatRequest) -> Answer:
    if request.forced_tool is not None:
        call = _tool_call(request.forced_tool, request.last_user_text)
        return Answer(tuple(tokens_of(call["function"]["arguments"])), "tool_calls", (call,))
    text = answer_text(request)
    for stop in request.stops:
        text = text.partition(stop)[0]
    tokens = tokens_of(text)
    if request.max_tokens is not None and len(tokens) > request.max_tokens:
        return Answer(tuple(tokens[: request.max_tokens]), "length")
    return Answer(tuple(tokens), "stop")


def _tool_call(tool: Tool, text: str) -> dict[str, Any]:
    arguments = json.dumps(value_for(tool.parameters, text), ensure_ascii=False)
    return {"id": "call_1", "type": "function", "function": {"name": tool.name, "arguments": arguments}}


def _completion_id(body: dict[str, Any]) -> str:
    return f"chatcmpl-{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:24]}"


def _usage(request: ChatRequest, answer: Answer) -> dict[str, int]:
    sent = prompt_tokens(request)
    received = len(answer.tokens) * request.choices
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def _chunks(request: ChatRequest, answer: Answer, head: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the completion in pieces: role, tokens, finish reason, and the usage when asked for."""
    head = head | {"object": "chat.completion.chunk"}
    if request.include_usage:
        head = head | {"usage": None}
    for index in range(request.choices):
        for delta in _deltas(answer):
            yield head | {"choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        yield head | {"choices": [{"index": index, "delta": {}, "finish_reason": answer.finish_reason}]}
    if request.include_usage:
        yield head | {"choices": [], "usage": _usage(request, answer)}


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.tool_calls:
        calls = [{"index": index} | call for index, call in enumerate(answer.tool_calls)]
        yield {"role": "assistant", "content": None, "tool_calls": calls}
        return
    yield {"role": "assistant", "content": ""}
    for token in answer.tokens:
        yield {"content": token}


async def _events(chunks: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
    for chunk in chunks:
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
        await anyio.lowlevel.checkpoint()
    yield "data: [DONE]\n\n"
