"""The body of a response request, refused where OpenAI would refuse it (OpenAI API reference, Responses)."""

from typing import Any

from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
    FLAG,
    JSON_SCHEMA,
    OBJECT,
    TEXT,
    Flaw,
    array,
    closed,
    first_flaw,
    number,
    one_of,
    tagged,
    text_or_array,
    without_nulls,
)
from blaxel_mcp.emulator.apis.completions import ANSWER_SCHEMA, ChatMessage, ChatRequest, FunctionTool
from blaxel_mcp.emulator.apis.refusals import openai_refusal
from blaxel_mcp.emulator.platform.errors import openai_error

TOOL_TYPES = (
    "apply_patch",
    "code_interpreter",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "shell",
    "web_search",
    "web_search_preview",
)
"""Types of tools other than functions of the caller; their fields are not checked here."""

_IMAGE_URL = {"type": "string", "pattern": "^(https?://|data:image/)"}
_CONTENT = tagged(
    "type",
    {
        "input_text": closed("text", text=TEXT),
        "input_image": {
            **closed(image_url=_IMAGE_URL, file_id=TEXT, detail=one_of("low", "high", "auto")),
            "if": {"not": {"required": ["file_id"]}},
            "then": {"required": ["image_url"]},
        },
        "input_file": closed(file_id=TEXT, file_url=TEXT, file_data=TEXT, filename=TEXT),
        "output_text": closed("text", text=TEXT, annotations=ANYTHING, logprobs=ANYTHING),
        "refusal": closed("refusal", refusal=TEXT),
    },
)
_MESSAGE = closed(
    "role",
    "content",
    role=one_of("user", "assistant", "system", "developer"),
    content=text_or_array(_CONTENT),
    id=TEXT,
    status=TEXT,
)
_CALL = {"id": TEXT, "call_id": TEXT, "status": TEXT}
_ITEM_OF_TYPE = tagged(
    "type",
    {
        "message": _MESSAGE,
        "function_call": closed("call_id", "name", "arguments", name=TEXT, arguments=TEXT, **_CALL),
        "function_call_output": closed("call_id", "output", output=text_or_array(_CONTENT), **_CALL),
        "item_reference": closed("id", id=TEXT),
    },
    open_tags=("reasoning", *(f"{kind}_call" for kind in TOOL_TYPES), "computer_call_output", "mcp_list_tools"),
)
_ITEM = {"type": "object", "if": {"required": ["type"]}, "then": _ITEM_OF_TYPE, "else": _MESSAGE}
"""An item without a type is a message."""

_FORMAT = tagged(
    "type",
    {
        "text": closed(),
        "json_object": closed(),
        "json_schema": closed("name", "schema", name=TEXT, schema=JSON_SCHEMA, strict=ANYTHING, description=TEXT),
    },
)
_FUNCTION = closed(
    "name",
    name={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    parameters=JSON_SCHEMA,
    strict=ANYTHING,
    description=TEXT,
)
_CHOICE = {
    "type": ["string", "object"],
    "if": {"type": "string"},
    "then": one_of("none", "auto", "required"),
    "else": tagged("type", {"function": closed("name", name=TEXT)}, open_tags=("allowed_tools", *TOOL_TYPES)),
}
_BODY = closed(
    model=TEXT,
    input=text_or_array(_ITEM),
    instructions=TEXT,
    previous_response_id=TEXT,
    conversation=ANYTHING,
    prompt=OBJECT,
    max_output_tokens={"type": "integer", "minimum": 16},
    max_tool_calls={"type": "integer"},
    temperature=number(0, 2),
    top_p=number(0, 1),
    top_logprobs=number(0, 20),
    reasoning=closed(
        effort=one_of("none", "minimal", "low", "medium", "high", "xhigh"), summary=TEXT, generate_summary=TEXT
    ),
    text=closed(format=_FORMAT, verbosity=one_of("low", "medium", "high")),
    tools=array(tagged("type", {"function": _FUNCTION}, open_tags=TOOL_TYPES)),
    tool_choice=_CHOICE,
    parallel_tool_calls=FLAG,
    background=FLAG,
    include=array(TEXT),
    metadata=OBJECT,
    prompt_cache_key=TEXT,
    prompt_cache_retention=TEXT,
    safety_identifier=TEXT,
    service_tier=TEXT,
    store=FLAG,
    stream=FLAG,
    stream_options=OBJECT,
    truncation=one_of("auto", "disabled"),
    user=TEXT,
)


def parse_responses_request(body: dict[str, Any], earlier: tuple[ChatMessage, ...]) -> ChatRequest:
    """Return the request that a body describes; `earlier` are the messages up to the response that it continues."""
    body = without_nulls(body)
    if flaw := first_flaw(_BODY, body):
        raise openai_refusal(flaw)
    for name in ("conversation", "prompt"):
        if name in body:
            raise openai_error(404, f"The {name} was not found: the emulator stores none.", param=name)
    if not body.get("input"):
        raise openai_refusal(Flaw("missing", ("input",)))
    instructions = (ChatMessage("system", body["instructions"]),) if "instructions" in body else ()
    messages = (*instructions, *earlier, *input_messages(body["input"]))
    return ChatRequest(
        messages=messages,
        max_tokens=int(body["max_output_tokens"]) if "max_output_tokens" in body else None,
        json_schema=_json_schema(body.get("text", {}).get("format", {"type": "text"}), messages),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
    )


def input_messages(body_input: str | list[dict[str, Any]]) -> tuple[ChatMessage, ...]:
    """Return the messages in a valid `input`, including function results."""
    if isinstance(body_input, str):
        return (ChatMessage("user", body_input),)
    messages = []
    for item in body_input:
        if item.get("type", "message") not in ("message", "function_call_output"):
            continue
        role, content = item.get("role", "tool"), item.get("content") or item.get("output", "")
        parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if "text" in part]
        images = sum(part["type"] == "input_image" for part in parts)
        messages.append(ChatMessage(role, " ".join(texts), images))
    return tuple(messages)


def _json_schema(text_format: dict[str, Any], messages: tuple[ChatMessage, ...]) -> dict[str, Any] | None:
    if text_format["type"] == "text":
        return None
    if text_format["type"] == "json_schema":
        schema: dict[str, Any] = text_format["schema"]
        return schema
    if not any("json" in message.text.lower() for message in messages):
        expected = "the word 'json' in some form, to use 'text.format' of type 'json_object'"
        raise openai_refusal(Flaw("value", ("input",), expected))
    return ANSWER_SCHEMA


def _forced_tool(body: dict[str, Any]) -> FunctionTool | None:
    choice = body.get("tool_choice", "auto")
    if choice in ("auto", "none"):
        return None
    name = None if choice == "required" else choice.get("name")
    for tool in body.get("tools", ()):
        if tool["type"] == "function" and name in (None, tool["name"]):
            return FunctionTool(tool["name"], tool.get("parameters", {}))
    raise openai_refusal(Flaw("value", ("tool_choice",), "a function that is among 'tools'"))
