"""Messages: `/v1/messages`, whole or as a stream of events (Anthropic API reference, Messages)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, named_events
from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
    BASE64,
    COUNT,
    FLAG,
    JSON_SCHEMA,
    OBJECT,
    TEXT,
    array,
    closed,
    first_flaw,
    number,
    one_of,
    tagged,
    text_or_array,
)
from blaxel_mcp.emulator.apis.completions import (
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
from blaxel_mcp.emulator.apis.refusals import anthropic_error, anthropic_refusal

_CACHE = {"cache_control": OBJECT}
_TEXT_BLOCK = closed("text", text={"type": "string", "minLength": 1}, citations=ANYTHING, **_CACHE)
_IMAGE_BLOCK = closed(
    "source",
    source=tagged(
        "type",
        {
            "base64": closed(
                "media_type",
                "data",
                media_type=one_of("image/jpeg", "image/png", "image/gif", "image/webp"),
                data=BASE64,
            ),
            "url": closed("url", url={"type": "string", "pattern": "^https?://"}),
            "file": closed("file_id", file_id=TEXT),
        },
    ),
    **_CACHE,
)
_BLOCK = tagged(
    "type",
    {
        "text": _TEXT_BLOCK,
        "image": _IMAGE_BLOCK,
        "document": closed("source", source=OBJECT, title=ANYTHING, context=ANYTHING, citations=ANYTHING, **_CACHE),
        "tool_use": closed("id", "name", "input", id=TEXT, name=TEXT, input=OBJECT, **_CACHE),
        "tool_result": closed(
            "tool_use_id",
            tool_use_id=TEXT,
            content=text_or_array(
                tagged("type", {"text": _TEXT_BLOCK, "image": _IMAGE_BLOCK}, open_tags=("document",))
            ),
            is_error=FLAG,
            **_CACHE,
        ),
        "thinking": closed("thinking", "signature", thinking=TEXT, signature=TEXT),
        "redacted_thinking": closed("data", data=TEXT),
    },
    open_tags=("search_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result"),
)
_TOOL = {
    "if": {"properties": {"type": {"const": "custom"}}},
    "then": closed(
        "name",
        "input_schema",
        type=TEXT,
        name={"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,128}$"},
        description=TEXT,
        input_schema={**JSON_SCHEMA, "required": ["type"], "properties": {"type": {"const": "object"}}},
        strict=FLAG,
        input_examples=array(OBJECT),
        **_CACHE,
    ),
    "type": "object",
}
"""A tool without a type is the caller's; the types other than `custom` are Anthropic's and not checked here."""

_PARALLEL = {"disable_parallel_tool_use": FLAG}
_BODY = closed(
    "messages",
    "max_tokens",
    model=TEXT,
    messages=array(
        closed("role", "content", role=one_of("user", "assistant"), content=text_or_array(_BLOCK)), at_least=1
    ),
    max_tokens=COUNT,
    container=ANYTHING,
    context_management=OBJECT,
    mcp_servers=array(OBJECT),
    metadata=closed(user_id=ANYTHING),
    output_config=closed(
        effort=one_of("low", "medium", "high", "max"),
        format=tagged("type", {"json_schema": closed("schema", schema=JSON_SCHEMA)}),
    ),
    service_tier=one_of("auto", "standard_only"),
    stop_sequences=array({"type": "string", "pattern": r"\S"}),
    stream=FLAG,
    system=text_or_array(tagged("type", {"text": _TEXT_BLOCK})),
    temperature=number(0, 1),
    thinking=tagged(
        "type",
        {
            "enabled": closed("budget_tokens", budget_tokens={"type": "integer", "minimum": 1024}),
            "adaptive": closed(),
            "disabled": closed(),
        },
    ),
    tool_choice=tagged(
        "type",
        {
            "auto": closed(**_PARALLEL),
            "any": closed(**_PARALLEL),
            "tool": closed("name", name=TEXT, **_PARALLEL),
            "none": closed(),
        },
    ),
    tools=array(_TOOL),
    top_k={"type": "integer", "minimum": 0},
    top_p=number(0, 1),
)


def parse_messages_request(body: dict[str, Any]) -> ChatRequest:
    """Return the request that a body describes."""
    if flaw := first_flaw(_BODY, body):
        raise anthropic_refusal(flaw)
    is_thinking = body.get("thinking", {"type": "disabled"})["type"] != "disabled"
    if is_thinking:
        _check_thinking(body)
    _check_tool_results(body["messages"])
    system = [_message("system", body["system"])] if "system" in body else []
    return ChatRequest(
        messages=(*system, *(_message(message["role"], message["content"]) for message in body["messages"])),
        max_tokens=int(body["max_tokens"]),
        stops=tuple(body.get("stop_sequences", ())),
        json_schema=body.get("output_config", {}).get("format", {}).get("schema"),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
        thinking=is_thinking,
    )


def _message(role: str, content: str | list[dict[str, Any]]) -> ChatMessage:
    if isinstance(content, str):
        return ChatMessage(role, content)
    results = [_message(role, block.get("content", "")) for block in content if block["type"] == "tool_result"]
    texts = [*(result.text for result in results), *(block["text"] for block in content if block["type"] == "text")]
    images = sum(result.images for result in results) + sum(block["type"] == "image" for block in content)
    return ChatMessage(role, " ".join(texts), images)


def _check_thinking(body: dict[str, Any]) -> None:
    """Refuse a body whose other fields contradict `thinking`."""
    if body["thinking"].get("budget_tokens", 0) >= body["max_tokens"]:
        raise anthropic_error(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.get("temperature", 1) != 1:
        raise anthropic_error(400, "`temperature` may only be set to 1 when thinking is enabled.")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise anthropic_error(400, "Thinking may not be enabled when tool_choice forces tool use.")


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Refuse the result of a tool that the previous message did not use."""
    used: set[str] = set()
    for position, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        for index, block in enumerate(blocks):
            if block["type"] == "tool_result" and block["tool_use_id"] not in used:
                problem = f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}"
                raise anthropic_error(400, f"messages.{position}.content.{index}: {problem}")
        used = {block["id"] for block in blocks if block["type"] == "tool_use"}


def _forced_tool(body: dict[str, Any]) -> FunctionTool | None:
    choice = body.get("tool_choice", {"type": "auto"})
    if choice["type"] in ("auto", "none"):
        return None
    for tool in body.get("tools", ()):
        if "input_schema" in tool and choice.get("name", tool["name"]) == tool["name"]:
            return FunctionTool(tool["name"], tool["input_schema"])
    raise anthropic_error(400, f"Tool '{choice.get('name', 'any')}' not found in provided tools")


_STOP_REASONS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_text": "stop_sequence",
    "tool": "tool_use",
}


async def handle(call: ProviderCall) -> Response:
    """Answer a message request; an absent `model` is filled in, as the gateway does."""
    request = parse_messages_request(call.body)
    if call.body.get("model", call.model_id) != call.model_id:
        raise anthropic_error(404, f"model: {call.body['model']}")
    message = _answer_message(call, request)
    return named_events(_message_events(message)) if request.stream else JSONResponse(message)


def _answer_message(call: ProviderCall, request: ChatRequest) -> dict[str, Any]:
    completion = complete(request)
    content: list[dict[str, Any]] = []
    thought = thought_about(request) if request.thinking else ""
    if thought:
        signature = hashlib.sha256(thought.encode()).hexdigest()
        content.append({"type": "thinking", "thinking": thought, "signature": signature})
    if completion.tool_call is not None:
        tool = completion.tool_call
        content.append({"type": "tool_use", "id": "toolu_1", "name": tool.name, "input": tool.arguments})
    elif completion.tokens:
        content.append({"type": "text", "text": completion.text})
    return {
        "id": body_id("msg_", call.body),
        "type": "message",
        "role": "assistant",
        "model": call.model_id,
        "content": content,
        "stop_reason": _STOP_REASONS[completion.stop_reason],
        "stop_sequence": completion.stop_text,
        "usage": {
            "input_tokens": prompt_tokens(request),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": len(tokens_of(thought)) + completion.output_tokens,
            "service_tier": "standard",
        },
    }


def _message_events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message in pieces: its head, the start, deltas and stop of each block, and the stop reason."""
    usage = message["usage"]
    head = message | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        empty, deltas = _block_in_pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def _block_in_pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a content block as it starts, and the deltas that complete it."""
    match block["type"]:
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": token} for token in tokens_of(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*thoughts, signature]
        case "tool_use":
            tokens = ["", *tokens_of(json.dumps(block["input"], ensure_ascii=False))]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": token} for token in tokens]
    return block | {"text": ""}, [{"type": "text_delta", "text": token} for token in tokens_of(block["text"])]
