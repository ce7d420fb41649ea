"""The body of a chat request, refused where Cohere would refuse it (Cohere API reference, Chat v2)."""

from dataclasses import dataclass
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
from blaxel_mcp.emulator.apis.chat_request import ChatRequest, Message, Tool
from blaxel_mcp.emulator.apis.refusals import cohere_refusal
from blaxel_mcp.emulator.platform.provider_errors import cohere_error

MAXIMUM_STOPS = 5

_TEXT_PART = closed("text", text=TEXT)
_IMAGE_PART = closed(
    "image_url",
    image_url=closed(
        "url",
        url={"type": "string", "pattern": "^(https?://|data:image/)"},
        detail=one_of("auto", "low", "high"),
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
BODY = closed(
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
    stop_sequences={**WORDS, "maxItems": MAXIMUM_STOPS},
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CohereChatRequest:
    """A valid chat request.

    Args:
        chat: What is to be answered, and within which limits.
        thinking: Whether the answer begins with thinking.
    """

    chat: ChatRequest
    thinking: bool


def parse_cohere_chat_request(body: dict[str, Any]) -> CohereChatRequest:
    """Return the request that a body spells.

    Raises:
        RefusedError: Cohere would refuse the body.
    """
    body = without_nulls(body)
    if flaw := first_flaw(BODY, body):
        raise cohere_refusal(flaw)
    messages = tuple(_message(message["role"], message.get("content", "")) for message in body["messages"])
    documents = tuple(_document(document) for document in body.get("documents", ()))
    chat = ChatRequest(
        messages=(*documents, *messages),
        choices=1,
        max_tokens=body.get("max_tokens"),
        stops=tuple(stop for stop in body.get("stop_sequences", ()) if stop),
        json_schema=_json_schema(body),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
        include_usage=True,
    )
    return CohereChatRequest(chat=chat, thinking=body.get("thinking", {}).get("type") == "enabled")


def _message(role: str, content: str | list[dict[str, Any]]) -> Message:
    if isinstance(content, str):
        return Message(role, content, 0)
    texts = [part["text"] for part in content if part["type"] == "text"]
    return Message(role, " ".join(texts), sum(part["type"] == "image_url" for part in content))


def _document(document: str | dict[str, Any]) -> Message:
    """Return a document as one more message that the model has read."""
    text = document if isinstance(document, str) else " ".join(map(str, document["data"].values()))
    return Message("document", text, 0)


def _json_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format", {"type": "text"})
    if wanted["type"] == "text":
        return None
    if "tools" in body or "documents" in body:
        raise cohere_error(400, "invalid request: response_format cannot be used with tools or documents")
    default = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    schema: dict[str, Any] = wanted.get("json_schema", default)
    return schema


def _forced_tool(body: dict[str, Any]) -> Tool | None:
    chosen, tools = body.get("tool_choice"), body.get("tools", ())
    if chosen is not None and not tools:
        raise cohere_error(400, "invalid request: tool_choice can only be set if tools are provided")
    if chosen != "REQUIRED":
        return None
    function = tools[0]["function"]
    return Tool(function["name"], function["parameters"])
