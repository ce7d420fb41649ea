"""Content: `:generateContent` and `:streamGenerateContent` (Gemini API reference, Generating content)."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.completions import StopReason, body_id, complete, prompt_tokens, thought_about, tokens_of
from blaxel_mcp.emulator.apis.event_stream import json_array, plain_events
from blaxel_mcp.emulator.apis.generate_content_request import parse_content_request

_FINISH_REASONS: dict[StopReason, str] = {"stop": "STOP", "length": "MAX_TOKENS", "stop_text": "STOP", "tool": "STOP"}


async def handle(call: ProviderCall) -> Response:
    """Answer a request for content: whole or in pieces, depending on the path.

    Raises:
        RefusalError: Gemini would refuse the body.
    """
    is_stream = call.path.endswith(":streamGenerateContent")
    request = parse_content_request(call.body, stream=is_stream)
    completion = complete(request)
    parts: list[dict[str, Any]] = [{"text": completion.text}]
    if completion.tool_call is not None:
        parts = [{"functionCall": {"name": completion.tool_call.name, "args": completion.tool_call.arguments}}]
    sent, received = prompt_tokens(request), completion.output_tokens * request.choices
    usage = {"promptTokenCount": sent, "candidatesTokenCount": received, "totalTokenCount": sent + received}
    if request.thinking:
        thought = thought_about(request)
        parts.insert(0, {"text": thought, "thought": True})
        usage["thoughtsTokenCount"] = len(tokens_of(thought))
        usage["totalTokenCount"] += usage["thoughtsTokenCount"]
    finish_reason = _FINISH_REASONS[completion.stop_reason]
    candidates = [_candidate(index, parts, finish_reason) for index in range(request.choices)]
    ids = {"modelVersion": call.model_id, "responseId": body_id("", call.body)}
    answer = {"candidates": candidates, "usageMetadata": usage, **ids}
    if not is_stream:
        return JSONResponse(answer)
    return (plain_events if "alt=sse" in call.query.split("&") else json_array)(_content_chunks(answer))


def _candidate(index: int, parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {**candidate, "index": index}


def _content_chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an answer in chunks of one token or function call each.

    The last chunk of each candidate has its finish reason and the complete usage.
    """
    sent = answer["usageMetadata"]["promptTokenCount"]
    for candidate in answer["candidates"]:
        *first, last = [
            {**part, "text": token} if "text" in part else part
            for part in candidate["content"]["parts"]
            for token in (tokens_of(part["text"]) if "text" in part else [""])
        ] or [{"text": ""}]
        usage = {"promptTokenCount": sent, "totalTokenCount": sent}
        for part in first:
            yield {**answer, "candidates": [_candidate(candidate["index"], [part])], "usageMetadata": usage}
        yield {**answer, "candidates": [_candidate(candidate["index"], [last], candidate["finishReason"])]}
