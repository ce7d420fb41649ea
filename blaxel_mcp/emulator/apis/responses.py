"""Responses: `/v1/responses`, whole or as a stream of events (OpenAI API reference, Responses)."""

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, check_model, named_events
from blaxel_mcp.emulator.apis.completions import (
    ChatMessage,
    ChatRequest,
    Completion,
    body_id,
    complete,
    prompt_tokens,
    thought_about,
    tokens_of,
)
from blaxel_mcp.emulator.apis.responses_request import input_messages, parse_responses_request
from blaxel_mcp.emulator.platform.errors import openai_error
from blaxel_mcp.emulator.platform.state import RecordedRequest

MAX_CHAIN_LENGTH = 100
"""Number of responses that may precede one, each named by `previous_response_id` of the next."""

_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Request fields that a response repeats, with their defaults."""


async def handle(call: ProviderCall) -> Response:
    """Answer a response request; an absent `model` is filled in, as the gateway does."""
    check_model(call)
    if "responses" not in call.record.apis:
        raise openai_error(404, "This model is not supported by the Responses API.", param="model")
    earlier: tuple[ChatMessage, ...] = ()
    for body in _previous_bodies(call):
        # The instructions of an earlier response do not carry over.
        answer = ChatMessage("assistant", complete(parse_responses_request(body, earlier)).text)
        earlier = (*earlier, *input_messages(body["input"]), answer)
    request = parse_responses_request(call.body, earlier)
    response = _response(call, request, complete(request))
    return named_events(response_events(response)) if request.stream else JSONResponse(response)


def _response(call: ProviderCall, request: ChatRequest, completion: Completion) -> dict[str, Any]:
    is_truncated = completion.stop_reason == "length"
    status = "incomplete" if is_truncated else "completed"
    output = [_output_item(completion, call.body, status)]
    reasoning_tokens = 0
    if (call.body.get("reasoning") or {}).get("summary"):
        thought = thought_about(request)
        reasoning_tokens = len(tokens_of(thought))
        summary = [{"type": "summary_text", "text": thought}]
        output.insert(0, {"id": body_id("rs_", call.body), "type": "reasoning", "summary": summary})
    sent, received = prompt_tokens(request), reasoning_tokens + completion.output_tokens
    return {
        "id": body_id("resp_", call.body),
        "object": "response",
        "created_at": int(call.emulator.now()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_truncated else None,
        "model": call.model_id,
        "output": output,
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": received,
            "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
            "total_tokens": sent + received,
        },
        **_ECHOED,
        **{name: value for name, value in call.body.items() if name in _ECHOED and value is not None},
    }


def _output_item(completion: Completion, body: dict[str, Any], status: str) -> dict[str, Any]:
    if completion.tool_call is None:
        content = {"type": "output_text", "text": completion.text, "annotations": [], "logprobs": []}
        head = {"id": body_id("msg_", body), "type": "message", "status": status, "role": "assistant"}
        return {**head, "content": [content]}
    function = {"name": completion.tool_call.name, "arguments": completion.tool_call.arguments_json}
    return {"id": body_id("fc_", body), "type": "function_call", "status": status, "call_id": "call_1", **function}


def _previous_bodies(call: ProviderCall) -> list[dict[str, Any]]:
    """Return the bodies of the requests that this one continues, oldest first; refuse unknown ones and too many."""
    previous = call.body.get("previous_response_id")
    if not isinstance(previous, str):
        return []
    stored = {body_id("resp_", body): body for body in map(_stored_body, call.emulator.requests) if body}
    bodies: list[dict[str, Any]] = []
    while isinstance(previous, str):
        if previous not in stored or len(bodies) == MAX_CHAIN_LENGTH:
            message = f"Previous response with id '{previous}' not found."
            raise openai_error(400, message, param="previous_response_id", code="previous_response_not_found")
        bodies.insert(0, stored[previous])
        previous = bodies[0].get("previous_response_id")
    return bodies


def _stored_body(request: RecordedRequest) -> dict[str, Any] | None:
    """Return the body of an earlier response request, unless it set `store` to false."""
    if not request.path.endswith("/v1/responses"):
        return None
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("store") is not False else None


def response_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a response, numbered from 0; the last one holds the whole response."""
    for number, event in enumerate(_unnumbered_events(response)):
        yield {"type": event["type"], "sequence_number": number, **event}


def _unnumbered_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        content = {"message": "content", "reasoning": "summary", "function_call": "arguments"}[item["type"]]
        empty = {**item, content: "" if content == "arguments" else []}
        if "status" in item:
            empty["status"] = "in_progress"
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        yield from _content_events({"item_id": item["id"], "output_index": index}, item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


def _content_events(place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events that fill an item; `place` holds the fields that they share."""
    match item["type"]:
        case "function_call":
            for token in tokens_of(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": token}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                where = {**place, "summary_index": index}
                yield {"type": "response.reasoning_summary_part.added", **where, "part": {**part, "text": ""}}
                for token in tokens_of(part["text"]):
                    yield {"type": "response.reasoning_summary_text.delta", **where, "delta": token}
                yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
                yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
        case "message":
            for index, part in enumerate(item["content"]):
                where = {**place, "content_index": index}
                yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
                for token in tokens_of(part["text"]):
                    yield {"type": "response.output_text.delta", **where, "delta": token, "logprobs": []}
                yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
                yield {"type": "response.content_part.done", **where, "part": part}
