"""Content: `:generateContent` and `:streamGenerateContent` (Gemini API reference, Generating content)."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.answers import prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.event_stream import json_array, plain_events
from blaxel_mcp.emulator.apis.generate_content_request import ContentRequest, parse_content_request
from blaxel_mcp.emulator.apis.replies import Ending, Reply, identifier, reply_to, thought_about

_FINISH_REASONS: dict[Ending, str] = {"stop": "STOP", "length": "MAX_TOKENS", "stop_text": "STOP", "tool": "STOP"}


async def serve(call: ProviderCall) -> Response:
    """Answer a request for content: whole, or in pieces as the path asks.

    Raises:
        RefusedError: Gemini would refuse the body.
    """
    request = parse_content_request(call.body, stream=call.path.endswith(":streamGenerateContent"))
    reply = reply_to(request.chat)
    head = {"modelVersion": call.model_id, "responseId": identifier("", call.body)}
    if not request.chat.stream:
        return JSONResponse({**_whole(request, reply), **head})
    chunks = ({**chunk, **head} for chunk in _chunks(request, reply))
    return plain_events(chunks) if "alt=sse" in call.query.split("&") else json_array(chunks)


def _whole(request: ContentRequest, reply: Reply) -> dict[str, Any]:
    parts = _parts(request, reply)
    candidates = [_candidate(index, parts, _FINISH_REASONS[reply.ending]) for index in range(request.chat.choices)]
    return {"candidates": candidates, "usageMetadata": _usage(request, reply)}


def _chunks(request: ContentRequest, reply: Reply) -> Iterator[dict[str, Any]]:
    """Yield the response in pieces of one part each; the last of each candidate says why it ends."""
    usage = _usage(request, reply)
    for index in range(request.chat.choices):
        *first, last = [piece for part in _parts(request, reply) for piece in _pieces(part)] or [{"text": ""}]
        for part in first:
            yield {"candidates": [_candidate(index, [part])], "usageMetadata": _so_far(usage)}
        yield {"candidates": [_candidate(index, [last], _FINISH_REASONS[reply.ending])], "usageMetadata": usage}


def _candidate(index: int, parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {**candidate, "index": index}


def _parts(request: ContentRequest, reply: Reply) -> list[dict[str, Any]]:
    thoughts: list[dict[str, Any]] = [{"text": _thought(request), "thought": True}] if request.thoughts else []
    if reply.tool_call is not None:
        return [*thoughts, {"functionCall": {"name": reply.tool_call.name, "args": reply.tool_call.arguments}}]
    return [*thoughts, {"text": reply.text}]


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a part token by token; a function call is one piece."""
    return [{**part, "text": token} for token in tokens_of(part["text"])] if "text" in part else [part]


def _thought(request: ContentRequest) -> str:
    return thought_about(request.chat) if request.thoughts else ""


def _usage(request: ContentRequest, reply: Reply) -> dict[str, Any]:
    sent = prompt_tokens(request.chat)
    received = reply.output_tokens * request.chat.choices
    thought = len(tokens_of(_thought(request)))
    usage = {"promptTokenCount": sent, "candidatesTokenCount": received, "totalTokenCount": sent + received + thought}
    return {**usage, "thoughtsTokenCount": thought} if thought else usage


def _so_far(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the usage as it is told before the end."""
    return {"promptTokenCount": usage["promptTokenCount"], "totalTokenCount": usage["promptTokenCount"]}
