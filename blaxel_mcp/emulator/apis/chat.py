"""Chat completions: `/v1/chat/completions`, whole or as a stream of events (OpenAI API reference, Chat completions)."""

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, chat_events, check_model, valid_body
from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
    FLAG,
    TEXT,
    WHOLE_JSON_SCHEMA,
    Flaw,
    array,
    closed,
    fields,
    integer,
    number,
    one_of,
    tagged,
    text_or_array,
)
from blaxel_mcp.emulator.apis.completions import (
    ANSWER_SCHEMA,
    ChatMessage,
    ChatRequest,
    Completion,
    FunctionTool,
    StopReason,
    body_id,
    complete,
    prompt_tokens,
)
from blaxel_mcp.emulator.apis.refusals import openai_refusal
from blaxel_mcp.emulator.platform.errors import openai_error

_TOKEN_LIMIT = integer(1, 1_000_000)
_PART = tagged(
    "type",
    {"text": fields("text", text=TEXT), "image_url": fields("image_url", image_url=fields("url", url=TEXT))},
    open_tags=("input_audio", "file", "refusal"),
)
_CONTENT = {**text_or_array(_PART), "minItems": 1}
_ASSISTANT = {
    **fields(content={**_CONTENT, "type": ["string", "array", "null"]}),
    "if": {"not": {"anyOf": [{"required": ["tool_calls"]}, {"required": ["refusal"]}]}},
    "then": fields("content", content=_CONTENT),
}
"""An assistant message may omit its content when it holds tool calls or a refusal."""

_MESSAGE = tagged(
    "role",
    {
        "assistant": _ASSISTANT,
        "tool": fields("tool_call_id", "content", tool_call_id=TEXT, content=_CONTENT),
        **dict.fromkeys(("system", "developer", "user", "function"), fields("content", content=_CONTENT)),
    },
)
_FUNCTION = fields("name", name={"type": "string", "pattern": r"\A[A-Za-z0-9_-]{1,64}\Z"}, parameters=WHOLE_JSON_SCHEMA)
_FORMAT = tagged(
    "type",
    {"json_schema": fields("json_schema", json_schema=fields("name", name=TEXT, schema=WHOLE_JSON_SCHEMA))},
    open_tags=("text", "json_object"),
)
_CHOICE = {
    "type": ["string", "object"],
    "if": {"type": "string"},
    "then": one_of("none", "auto", "required"),
    "else": tagged("type", {"function": fields("function", function=fields("name", name=TEXT))}),
}
_BODY = closed(
    "messages",
    model=TEXT,
    messages=array(_MESSAGE, at_least=1),
    max_completion_tokens=_TOKEN_LIMIT,
    max_tokens=_TOKEN_LIMIT,
    n=integer(1, 128),
    response_format=_FORMAT,
    stop={"anyOf": [TEXT, array(TEXT, at_most=4)], "description": "a string or an array of at most 4 strings"},
    stream=FLAG,
    stream_options=fields(include_usage={"type": ["boolean", "null"]}),
    temperature=number(0, 2),
    tool_choice=_CHOICE,
    tools=array(fields("type", "function", type=one_of("function"), function=_FUNCTION), at_least=1),
    top_p=number(0, 1),
    audio=ANYTHING,
    frequency_penalty=ANYTHING,
    function_call=ANYTHING,
    functions=ANYTHING,
    logit_bias=ANYTHING,
    logprobs=ANYTHING,
    metadata=ANYTHING,
    modalities=ANYTHING,
    parallel_tool_calls=ANYTHING,
    prediction=ANYTHING,
    presence_penalty=ANYTHING,
    prompt_cache_key=ANYTHING,
    reasoning_effort=ANYTHING,
    safety_identifier=ANYTHING,
    seed=ANYTHING,
    service_tier=ANYTHING,
    store=ANYTHING,
    top_logprobs=ANYTHING,
    user=ANYTHING,
    verbosity=ANYTHING,
    web_search_options=ANYTHING,
)


def parse_chat_request(body: dict[str, Any]) -> ChatRequest:
    """Return the request that a body describes."""
    body = valid_body(_BODY, body)
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise openai_refusal(Flaw("value", ("max_tokens",), "either max_tokens or max_completion_tokens"))
    if "stream_options" in body and not body.get("stream"):
        raise openai_refusal(Flaw("value", ("stream_options",), "it only together with 'stream': true"))
    messages = []
    for message in body["messages"]:
        content = message.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if part["type"] == "text"]
        images = sum(part["type"] == "image_url" for part in parts)
        messages.append(ChatMessage(message["role"], " ".join(texts), images))
    stop = body.get("stop", [])
    return ChatRequest(
        messages=tuple(messages),
        choices=body.get("n", 1),
        max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
        stops=tuple(text for text in ([stop] if isinstance(stop, str) else stop) if text),
        json_schema=_json_schema(body.get("response_format", {"type": "text"}), messages),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
        include_usage=bool(body.get("stream_options", {}).get("include_usage")),
    )


def _json_schema(response_format: dict[str, Any], messages: list[ChatMessage]) -> dict[str, Any] | None:
    if response_format["type"] == "text":
        return None
    if response_format["type"] == "json_schema":
        schema: dict[str, Any] = response_format["json_schema"].get("schema", {})
        return schema
    if not any("json" in message.text.lower() for message in messages):
        expected = "the word 'json' in some form, to use 'response_format' of type 'json_object'"
        raise openai_refusal(Flaw("value", ("messages",), expected))
    return ANSWER_SCHEMA


def _forced_tool(body: dict[str, Any]) -> FunctionTool | None:
    choice = body.get("tool_choice")
    if choice is not None and "tools" not in body:
        raise openai_refusal(Flaw("value", ("tool_choice",), "it only when 'tools' are specified"))
    if choice in (None, "none", "auto"):
        return None
    functions = [tool["function"] for tool in body["tools"]]
    if choice != "required":
        name = choice["function"]["name"]
        functions = [function for function in functions if function["name"] == name]
        if not functions:
            names = ", ".join(sorted({tool["function"]["name"] for tool in body["tools"]}))
            raise openai_refusal(Flaw("value", ("tool_choice", "function", "name"), f"one of {names}"))
    return FunctionTool(functions[0]["name"], functions[0].get("parameters", {}))


_FINISH_REASONS: dict[StopReason, str] = {"stop": "stop", "length": "length", "stop_text": "stop", "tool": "tool_calls"}


async def handle(call: ProviderCall) -> Response:
    """Answer a chat completion.

    An absent `model` is filled in, as the gateway does: Blaxel's own cookbooks omit it.
    """
    check_model(call)
    if "chat-completions" not in call.record.apis:
        raise openai_error(404, "This is not a chat model and thus not supported here.", param="model")
    request = parse_chat_request(call.body)
    if call.emulator.upstream is not None:
        body = json.dumps({"model": call.model_id} | call.body).encode()
        return await call.emulator.upstream.forward(call.path, body)
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
