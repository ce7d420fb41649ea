"""The body of a message request, refused where Anthropic would refuse it (Anthropic API reference, Messages)."""

from typing import Any

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
from blaxel_mcp.emulator.apis.conversation import ChatMessage, ChatRequest, FunctionTool
from blaxel_mcp.emulator.apis.refusals import anthropic_refusal
from blaxel_mcp.emulator.platform.provider_errors import anthropic_error

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
    """Return the request that a body describes.

    Raises:
        RefusalError: Anthropic would refuse the body.
    """
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
