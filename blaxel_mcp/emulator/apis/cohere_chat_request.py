"""The body of a chat request, refused where Cohere would refuse it (Cohere API reference, Chat v2)."""

from typing import Any

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
from blaxel_mcp.emulator.apis.conversation import ANSWER_SCHEMA, ChatMessage, ChatRequest, FunctionTool
from blaxel_mcp.emulator.apis.refusals import cohere_refusal
from blaxel_mcp.emulator.platform.provider_errors import cohere_error

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
    """Return the request that a body describes; its documents become messages.

    Raises:
        RefusalError: Cohere would refuse the body.
    """
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
