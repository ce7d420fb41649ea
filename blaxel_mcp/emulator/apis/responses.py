"""Responses: `/v1/responses`, whole or as a stream of events (OpenAI API reference, Responses)."""

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.answers import prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.chat_request import ChatRequest, Message
from blaxel_mcp.emulator.apis.event_stream import named_events
from blaxel_mcp.emulator.apis.openai_fields import check_model
from blaxel_mcp.emulator.apis.replies import Reply, identifier, reply_to, thought_about
from blaxel_mcp.emulator.apis.responses_events import response_events
from blaxel_mcp.emulator.apis.responses_request import input_messages, parse_responses_request
from blaxel_mcp.emulator.platform.errors import RefusedError, openai_error
from blaxel_mcp.emulator.platform.recording import RecordedRequest

LONGEST_CHAIN = 100
"""How many responses one may go on from, each from the one before."""

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
"""Fields of the request that a response repeats, with what they are when absent."""


async def serve(call: ProviderCall) -> Response:
    """Answer a response request.

    An absent `model` is filled in, as the gateway does.

    Raises:
        RefusedError: OpenAI would refuse the body.
    """
    check_model(call)
    if "responses" not in call.record.apis:
        raise openai_error(404, "This model is not supported by the Responses API.", param="model")
    request = parse_responses_request(call.body, _earlier_messages(call))
    response = _response(call, request, reply_to(request))
    return named_events(response_events(response)) if request.stream else JSONResponse(response)


def _response(call: ProviderCall, request: ChatRequest, reply: Reply) -> dict[str, Any]:
    cut = reply.ending == "length"
    thought = thought_about(request) if (call.body.get("reasoning") or {}).get("summary") else ""
    given = {name: value for name, value in call.body.items() if name in _ECHOED and value is not None}
    return {
        "id": identifier("resp_", call.body),
        "object": "response",
        "created_at": int(call.emulator.now()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": call.model_id,
        "output": [*_reasoning(thought, call.body), _output(reply, call.body, "incomplete" if cut else "completed")],
        "usage": _usage(request, reply, len(tokens_of(thought))),
        **_ECHOED,
        **given,
    }


def _reasoning(thought: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the reasoning before the answer, of which OpenAI shows a summary at most."""
    if not thought:
        return []
    summary = [{"type": "summary_text", "text": thought}]
    return [{"id": identifier("rs_", body), "type": "reasoning", "summary": summary}]


def _output(reply: Reply, body: dict[str, Any], status: str) -> dict[str, Any]:
    if reply.tool_call is None:
        content = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        head = {"id": identifier("msg_", body), "type": "message", "status": status, "role": "assistant"}
        return {**head, "content": [content]}
    function = {"name": reply.tool_call.name, "arguments": reply.tool_call.arguments_json}
    return {"id": identifier("fc_", body), "type": "function_call", "status": status, "call_id": "call_1", **function}


def _usage(request: ChatRequest, reply: Reply, reasoning_tokens: int) -> dict[str, Any]:
    sent, received = prompt_tokens(request), reasoning_tokens + reply.output_tokens
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": received,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": sent + received,
    }


def _earlier_messages(call: ProviderCall) -> tuple[Message, ...]:
    """Return what was said up to the response that this one goes on from; its instructions do not carry over."""
    messages: tuple[Message, ...] = ()
    for body in _chain(call):
        request = parse_responses_request(body, messages)
        messages = (*messages, *input_messages(body["input"]), Message("assistant", reply_to(request).text, 0))
    return messages


def _chain(call: ProviderCall) -> list[dict[str, Any]]:
    """Return the bodies of the requests that led here, the first one first."""
    wanted = call.body.get("previous_response_id")
    if not isinstance(wanted, str):
        return []
    stored = {identifier("resp_", body): body for body in map(_stored_body, call.emulator.requests) if body}
    chain: list[dict[str, Any]] = []
    while isinstance(wanted, str):
        if wanted not in stored or len(chain) == LONGEST_CHAIN:
            raise _not_found(wanted)
        chain.insert(0, stored[wanted])
        wanted = chain[0].get("previous_response_id")
    return chain


def _stored_body(request: RecordedRequest) -> dict[str, Any] | None:
    """Return the body of an earlier request whose response was to be kept."""
    if not request.path.endswith("/v1/responses"):
        return None
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("store") is not False else None


def _not_found(response_id: str) -> RefusedError:
    message = f"Previous response with id '{response_id}' not found."
    return openai_error(400, message, param="previous_response_id", code="previous_response_not_found")
