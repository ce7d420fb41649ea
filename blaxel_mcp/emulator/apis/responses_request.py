"""The body of a response request, refused where OpenAI would refuse it (OpenAI API reference, Responses)."""

from typing import Any

from blaxel_mcp.emulator.apis.body_schema import (
    ANYTHING,
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
    without_nulls,
)
from blaxel_mcp.emulator.apis.chat_request import ChatRequest, Message, Tool
from blaxel_mcp.emulator.apis.openai_fields import missing, wrong_value
from blaxel_mcp.emulator.apis.refusals import openai_refusal
from blaxel_mcp.emulator.platform.errors import openai_error

SMALLEST_MAXIMUM = 16
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
"""Tools other than the caller's own functions, with fields that are not looked at here."""

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
BODY = closed(
    model=TEXT,
    input=text_or_array(_ITEM),
    instructions=TEXT,
    previous_response_id=TEXT,
    conversation=ANYTHING,
    prompt=OBJECT,
    max_output_tokens={"type": "integer", "minimum": SMALLEST_MAXIMUM},
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


def parse_responses_request(body: dict[str, Any], earlier: tuple[Message, ...]) -> ChatRequest:
    """Return the request that a body spells, after the messages of the response that it goes on from.

    Raises:
        RefusedError: OpenAI would refuse the body.
    """
    body = without_nulls(body)
    if flaw := first_flaw(BODY, body):
        raise openai_refusal(flaw)
    for name in ("conversation", "prompt"):
        if name in body:
            raise openai_error(404, f"The {name} was not found: none is stored here.", param=name)
    if not body.get("input"):
        raise missing("input")
    instructions = (Message("system", body["instructions"], 0),) if "instructions" in body else ()
    messages = (*instructions, *earlier, *input_messages(body["input"]))
    return ChatRequest(
        messages=messages,
        choices=1,
        max_tokens=body.get("max_output_tokens"),
        stops=(),
        json_schema=_json_schema(body.get("text", {}).get("format", {"type": "text"}), messages),
        forced_tool=_forced_tool(body),
        stream=body.get("stream", False),
        include_usage=True,
    )


def input_messages(given: str | list[dict[str, Any]]) -> tuple[Message, ...]:
    """Return the messages that a valid `input` holds, results of functions among them."""
    if isinstance(given, str):
        return (Message("user", given, 0),)
    said = [item for item in given if item.get("type", "message") in ("message", "function_call_output")]
    return tuple(_message(item.get("role", "tool"), item.get("content") or item.get("output", "")) for item in said)


def _message(role: str, content: str | list[dict[str, Any]]) -> Message:
    if isinstance(content, str):
        return Message(role, content, 0)
    texts = [part["text"] for part in content if "text" in part]
    return Message(role, " ".join(texts), sum(part["type"] == "input_image" for part in content))


def _json_schema(wanted: dict[str, Any], messages: tuple[Message, ...]) -> dict[str, Any] | None:
    if wanted["type"] == "text":
        return None
    if wanted["type"] == "json_schema":
        schema: dict[str, Any] = wanted["schema"]
        return schema
    if not any("json" in message.text.lower() for message in messages):
        raise wrong_value("input", "the word 'json' in some form, to use 'text.format' of type 'json_object'")
    return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def _forced_tool(body: dict[str, Any]) -> Tool | None:
    chosen = body.get("tool_choice", "auto")
    if chosen in ("auto", "none"):
        return None
    functions = [tool for tool in body.get("tools", ()) if tool["type"] == "function"]
    name = None if chosen == "required" else chosen.get("name")
    wanted = [function for function in functions if name in (None, function["name"])]
    if not wanted:
        raise wrong_value("tool_choice", "a function that is among 'tools'")
    return Tool(wanted[0]["name"], wanted[0].get("parameters", {}))
