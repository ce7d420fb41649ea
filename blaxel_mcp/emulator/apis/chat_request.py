"""The body of a chat completion, refused where OpenAI would refuse it (OpenAI API reference)."""

import re
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.emulator.apis.openai_fields import (
    boolean,
    check_known,
    choice,
    integer,
    json_schema,
    mapping,
    missing,
    number,
    string,
    wrong_type,
    wrong_value,
)

KNOWN_FIELDS = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
PART_TYPES = ("text", "image_url", "input_audio", "file", "refusal")
MAXIMUM_TOKENS = 1_000_000
MAXIMUM_CHOICES = 128
MAXIMUM_STOPS = 4

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Message:
    """One message, reduced to what the emulator answers to."""

    role: str
    text: str
    images: int


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A valid request for a chat completion.

    Args:
        messages: The conversation, never empty.
        choices: How many answers are wanted.
        max_tokens: Tokens of one answer at most; None for no limit.
        stops: Texts before which an answer ends.
        json_schema: What the answer has to be as JSON; None when it is plain text.
        forced_tool: The function that the answer has to call.
        stream: Whether the answer is wanted as events.
        include_usage: Whether a stream ends in the usage.
    """

    messages: tuple[Message, ...]
    choices: int
    max_tokens: int | None
    stops: tuple[str, ...]
    json_schema: dict[str, Any] | None
    forced_tool: Tool | None
    stream: bool
    include_usage: bool

    @property
    def last_user_text(self) -> str:
        """What the user said last; empty when no user did."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


def parse_chat_request(body: dict[str, Any]) -> ChatRequest:
    """Return the request that a body spells.

    Raises:
        RefusedError: OpenAI would refuse the body.
    """
    check_known(body, KNOWN_FIELDS)
    messages = _messages(body)
    number(body, "temperature", 0, 2)
    number(body, "top_p", 0, 1)
    stream = boolean(body, "stream")
    return ChatRequest(
        messages=messages,
        choices=integer(body, "n", 1, MAXIMUM_CHOICES) or 1,
        max_tokens=_max_tokens(body),
        stops=_stops(body),
        json_schema=_json_schema(body, messages),
        forced_tool=_forced_tool(body, _tools(body)),
        stream=stream,
        include_usage=_include_usage(body, stream=stream),
    )


def _messages(body: dict[str, Any]) -> tuple[Message, ...]:
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects")
    if not messages:
        raise wrong_value("messages", "an array with at least one message")
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _message(value: Any, name: str) -> Message:
    message = mapping(value, name)
    if "role" not in message:
        raise missing(f"{name}.role")
    role = choice(message["role"], f"{name}.role", ROLES)
    if role == "tool":
        string(message.get("tool_call_id"), f"{name}.tool_call_id")
    content = message.get("content")
    if content is None and role == "assistant" and ("tool_calls" in message or "refusal" in message):
        return Message(role, "", 0)
    if isinstance(content, str):
        return Message(role, content, 0)
    if not isinstance(content, list) or not content:
        raise wrong_type(f"{name}.content", "a string or an array of parts")
    return _message_of_parts(role, content, f"{name}.content")


def _message_of_parts(role: str, parts: list[Any], name: str) -> Message:
    texts: list[str] = []
    images = 0
    for index, value in enumerate(parts):
        part, part_name = mapping(value, f"{name}[{index}]"), f"{name}[{index}]"
        kind = choice(part.get("type"), f"{part_name}.type", PART_TYPES)
        if kind == "text":
            texts.append(string(part.get("text"), f"{part_name}.text"))
        if kind == "image_url":
            image = mapping(part.get("image_url"), f"{part_name}.image_url")
            string(image.get("url"), f"{part_name}.image_url.url")
            images += 1
    return Message(role, " ".join(texts), images)


def _max_tokens(body: dict[str, Any]) -> int | None:
    older = integer(body, "max_tokens", 1, MAXIMUM_TOKENS)
    newer = integer(body, "max_completion_tokens", 1, MAXIMUM_TOKENS)
    if older is not None and newer is not None:
        raise wrong_value("max_tokens", "either max_tokens or max_completion_tokens")
    return older if newer is None else newer


def _stops(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or len(stops) > MAXIMUM_STOPS:
        raise wrong_value("stop", f"a string or an array of at most {MAXIMUM_STOPS} strings")
    return tuple(string(text, "stop") for text in stops if text != "")


def _include_usage(body: dict[str, Any], *, stream: bool) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not stream:
        raise wrong_value("stream_options", "it only together with 'stream': true")
    return boolean(mapping(options, "stream_options"), "include_usage")


def _json_schema(body: dict[str, Any], messages: tuple[Message, ...]) -> dict[str, Any] | None:
    if body.get("response_format") is None:
        return None
    response_format = mapping(body["response_format"], "response_format")
    kind = choice(response_format.get("type"), "response_format.type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_schema":
        named = mapping(response_format.get("json_schema"), "response_format.json_schema")
        string(named.get("name"), "response_format.json_schema.name")
        return json_schema(named.get("schema", {}), "response_format.json_schema.schema")
    if not any("json" in message.text.lower() for message in messages):
        raise wrong_value("messages", "the word 'json' in some form, to use 'response_format' of type 'json_object'")
    return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def _tools(body: dict[str, Any]) -> dict[str, Tool]:
    tools = body.get("tools")
    if tools is None:
        return {}
    if not isinstance(tools, list) or not tools:
        raise wrong_type("tools", "an array of at least one object")
    parsed = [_tool(mapping(tool, f"tools[{index}]"), f"tools[{index}]") for index, tool in enumerate(tools)]
    return {tool.name: tool for tool in parsed}


def _tool(tool: dict[str, Any], name: str) -> Tool:
    choice(tool.get("type"), f"{name}.type", ("function",))
    function = mapping(tool.get("function"), f"{name}.function")
    tool_name = string(function.get("name"), f"{name}.function.name")
    if not _TOOL_NAME.fullmatch(tool_name):
        raise wrong_value(f"{name}.function.name", "1 to 64 letters, digits, '_' or '-'")
    return Tool(tool_name, json_schema(function.get("parameters", {}), f"{name}.function.parameters"))


def _forced_tool(body: dict[str, Any], tools: dict[str, Tool]) -> Tool | None:
    chosen = body.get("tool_choice")
    if chosen is None:
        return None
    if not tools:
        raise wrong_value("tool_choice", "it only when 'tools' are specified")
    if isinstance(chosen, str):
        mode = choice(chosen, "tool_choice", ("none", "auto", "required"))
        return next(iter(tools.values())) if mode == "required" else None
    choice(mapping(chosen, "tool_choice").get("type"), "tool_choice.type", ("function",))
    name = mapping(chosen.get("function"), "tool_choice.function").get("name")
    return tools[choice(name, "tool_choice.function.name", tools)]
