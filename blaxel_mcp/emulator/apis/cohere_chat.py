"""Chat: `/v2/chat`, whole or as a stream of events (Cohere API reference, Chat v2)."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, named_events
from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
    COUNT,
    FLAG,
    JSON_SCHEMA,
    OBJECT,
    TEXT,
    WORDS,
    array,
    closed,
    first_flaw,
    number,
    one_of,
    tagged,
    text_or_array,
    without_nulls,
)
from blaxel_mcp.emulator.apis.completions import (
    ANSWER_SCHEMA,
    ChatMessage,
    ChatRequest,
    FunctionTool,
    StopReason,
    body_id,
    complete,
    prompt_tokens,
    thought_about,
    tokens_of,
)
from blaxel_mcp.emulator.apis.refusals import cohere_error, cohere_refusal

_TEXT_PART = closed("text", text=TEXT)
_IMAGE_PART = closed(
    "image_url",
    image_url=closed(
        "url", url={"type": "string", "pattern": "^(https?://|data:image/)"}, detail=one_of("auto", "low", "high")
    ),
)
_TOOL_CALL = closed(
    "id", "type", "function", id=TEXT, type=one_of("function"), function=closed(name=TEXT, arguments=TEXT)
)
_MESSAGE = tagged(
    "role",
    {
        "system": closed("content", content=text_or_array(tagged("type", {"text": _TEXT_PART}))),
        "user": closed(
            "content", content=text_or_array(tagged("type", {"text": _TEXT_PART, "image_url": _IMAGE_PART}))
        ),
        "assistant": closed(
            content=text_or_array(tagged("type", {"text": _TEXT_PART, "thinking": closed("thinking", thinking=TEXT)})),
            tool_calls=array(_TOOL_CALL),
            tool_plan=TEXT,
            citations=array(OBJECT),
        ),
        "tool": closed(
            "tool_call_id",
            "content",
            tool_call_id=TEXT,
            content=text_or_array(
                tagged("type", {"text": _TEXT_PART, "document": closed("document", document=OBJECT)})
            ),
        ),
    },
)
_FUNCTION = closed("name", "parameters", name=TEXT, description=TEXT, parameters=JSON_SCHEMA)
_DOCUMENT = {
    "type": ["string", "object"],
    "properties": {"data": OBJECT, "id": TEXT},
    "required": ["data"],
    "additionalProperties": False,
}
_BODY = closed(
    "messages",
    model=TEXT,
    messages=array(_MESSAGE, at_least=1),
    stream=FLAG,
    tools=array(closed("type", "function", type=one_of("function"), function=_FUNCTION), at_least=1),
    strict_tools=FLAG,
    tool_choice=one_of("REQUIRED", "NONE"),
    documents=array(_DOCUMENT),
    citation_options=closed(mode=one_of("ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF")),
    response_format=tagged("type", {"text": closed(), "json_object": closed(json_schema=JSON_SCHEMA)}),
    safety_mode=one_of("CONTEXTUAL", "STRICT", "OFF"),
    max_tokens=COUNT,
    stop_sequences={**WORDS, "maxItems": 5},
    temperature={"type": "number", "minimum": 0},
    seed={"type": "integer", "minimum": 0},
    frequency_penalty=number(0, 1),
    presence_penalty=number(0, 1),
    k={"type": "integer", "minimum": 0, "maximum": 500},
    p=number(0.01, 0.99),
    logprobs=FLAG,
    thinking=tagged("type", {"enabled": closed(token_budget=COUNT), "disabled": closed()}),
    priority=ANYTHING,
)


def parse_cohere_chat_request(body: dict[str, Any]) -> ChatRequest:
    """Return the request that a body describes; its documents become messages."""
    body = without_nulls(body)
    if flaw := first_flaw(_BODY, body):
        raise cohere_refusal(flaw)
    messages = []
    for document in body.get("documents", ()):
        text = document if isinstance(document, str) else " ".join(map(str, document["data"].values()))
        messages.append(ChatMessage("document", text))
    for message in body["messages"]:
        content = message.get("content", "")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if part["type"] == "text"]
        images = sum(part["type"] == "image_url" for part in parts)
        messages.append(ChatMessage(message["role"], " ".join(texts), images))
    return ChatRequest(
        messages=tuple(messages),
        max_tokens=int(body["max_tokens"]) if "max_tokens" in body else None,
        stops=tuple(stop for stop in body.get("stop_sequences", ()) if stop),
        json_schema=_json_schema(body),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
        thinking=body.get("thinking", {}).get("type") == "enabled",
    )


def _json_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    response_format = body.get("response_format", {"type": "text"})
    if response_format["type"] == "text":
        return None
    if "tools" in body or "documents" in body:
        raise cohere_error(400, "invalid request: response_format cannot be used with tools or documents")
    schema: dict[str, Any] = response_format.get("json_schema", ANSWER_SCHEMA)
    return schema


def _forced_tool(body: dict[str, Any]) -> FunctionTool | None:
    choice = body.get("tool_choice")
    if choice is not None and "tools" not in body:
        raise cohere_error(400, "invalid request: tool_choice can only be set if tools are provided")
    if choice != "REQUIRED":
        return None
    function = body["tools"][0]["function"]
    return FunctionTool(function["name"], function["parameters"])


_FINISH_REASONS: dict[StopReason, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "stop_text": "STOP_SEQUENCE",
    "tool": "TOOL_CALL",
}


async def handle(call: ProviderCall) -> Response:
    """Answer a chat request; an absent `model` is filled in, as the gateway does."""
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
