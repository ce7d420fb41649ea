"""The answers of the emulated chat models, computed from the conversation: the same for every API."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from blaxel_mcp.emulator.apis.arithmetic import answer_sum

ANSWER_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
"""The form of an answer when JSON is requested without a schema."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message: its role, its text and its number of images."""

    role: str
    text: str
    images: int = 0


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the model may call, and the JSON Schema of its arguments."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A valid request to a chat model.

    Args:
        messages: The conversation, never empty.
        choices: Number of answers.
        max_tokens: Maximum tokens per answer.
        stops: Texts before which an answer ends, none of them empty.
        include_usage: Whether a stream ends with the usage, for the APIs that omit it by default.
        thinking: Whether the answer begins with its reasoning.
    """

    messages: tuple[ChatMessage, ...]
    choices: int = 1
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    forced_tool: FunctionTool | None = None
    stream: bool = False
    include_usage: bool = False
    thinking: bool = False

    @property
    def last_user_text(self) -> str:
        """The text of the last user message; empty when there is none."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MAX_DEPTH = 16


def value_for(schema: dict[str, Any], text: str, depth: int = _MAX_DEPTH) -> Any:
    """Return a value of the schema's type: strings hold the text, numbers the first number in it.

    Objects get their required properties, or all of them when none is required. Deeper ones than `depth` are empty.
    """
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0] if kind else "object"
    if kind == "object":
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not depth:
            return {}
        names = schema.get("required") or list(properties)
        return {name: value_for(_subschema(properties.get(name)), text, depth - 1) for name in names}
    if kind == "array":
        return [value_for(_subschema(schema.get("items")), text, depth - 1)] if depth and schema.get("minItems") else []
    return _scalar(kind, schema, text)


def _subschema(schema: Any) -> dict[str, Any]:
    """Return a schema within another; one that is absent or boolean allows a string."""
    return schema if isinstance(schema, dict) else {"type": "string"}


def _scalar(kind: str, schema: dict[str, Any], text: str) -> Any:
    if kind == "string":
        return text
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    number = _NUMBER.search(text)
    value = float(number[0]) if number else 0.0
    value = max(value, schema.get("minimum", value))
    return math.ceil(value) if kind == "integer" else value


StopReason = Literal["stop", "length", "stop_text", "tool"]

_REVERSE = re.compile(r"reverse(?: the (?:word|text|string|sentence))?:?\s+(.+?)", re.IGNORECASE | re.DOTALL)
_COUNT = re.compile(
    r"(?:how many words(?: are)?(?: there)? in|count the words (?:in|of))[:\s]+(.+?)\??", re.IGNORECASE | re.DOTALL
)
_RESTATED_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function call that takes the place of an answer."""

    name: str
    arguments: dict[str, Any]

    @property
    def arguments_json(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The answer to a conversation, token by token, before it takes the format of an API.

    There are no tokens when a tool is called. `stop_text` is the text before which the answer ended, if any.
    """

    tokens: tuple[str, ...]
    stop_reason: StopReason
    stop_text: str | None = None
    tool_call: ToolCall | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)

    @property
    def output_tokens(self) -> int:
        """Number of generated tokens, those of a tool call's arguments included."""
        return len(tokens_of(self.tool_call.arguments_json)) if self.tool_call else len(self.tokens)


def complete(request: ChatRequest) -> Completion:
    """Return the answer to a conversation, within its limits."""
    if request.forced_tool is not None:
        arguments = value_for(request.forced_tool.parameters, request.last_user_text)
        call = ToolCall(name=request.forced_tool.name, arguments=arguments)
        return Completion(tokens=(), stop_reason="tool", tool_call=call)
    text = _answer_text(request)
    if request.json_schema is not None:
        text = json.dumps(value_for(request.json_schema, text), ensure_ascii=False)
    stop_text = min((stop for stop in request.stops if stop in text), key=text.index, default=None)
    tokens = tuple(tokens_of(text if stop_text is None else text.partition(stop_text)[0]))
    if request.max_tokens is not None and len(tokens) > request.max_tokens:
        return Completion(tokens=tokens[: request.max_tokens], stop_reason="length")
    return Completion(tokens=tokens, stop_reason="stop_text" if stop_text else "stop", stop_text=stop_text)


def thought_about(request: ChatRequest) -> str:
    """Return the reasoning that precedes an answer."""
    return f"The conversation has {counted(prompt_tokens(request), 'word')}. I answer its last message."


def tokens_of(text: str) -> list[str]:
    """Split a text into the emulator's tokens: words, each with the space before it."""
    # White space at the end would be tried from each of its characters.
    return re.findall(r"\s*\S+", text.rstrip())


def prompt_tokens(request: ChatRequest) -> int:
    """Count the tokens of a conversation."""
    return sum(len(tokens_of(message.text)) for message in request.messages)


def body_id(prefix: str, body: dict[str, Any]) -> str:
    """Return an id that is the same for the same body."""
    return prefix + hashlib.sha256(json.dumps(body).encode()).hexdigest()[:24]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 word" or "2 words"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _answer_text(request: ChatRequest) -> str:
    """Solve a sum, reverse a text, count its words, or restate the question."""
    question = request.last_user_text.strip()
    if (result := answer_sum(question)) is not None:
        return result
    if reverse := _REVERSE.fullmatch(question):
        return _unquoted(reverse[1])[::-1]
    if count := _COUNT.fullmatch(question):
        return f"I count {counted(len(_unquoted(count[1]).split()), 'word')}."
    if len(question) > _RESTATED_CHARACTERS:
        question = f"{question[:_RESTATED_CHARACTERS]}..."
    images = sum(message.images for message in request.messages)
    contents = counted(sum(len(message.text) for message in request.messages), "character")
    if images:
        contents += f" and {counted(images, 'image')}"
    return f'You said: "{question}" I read {counted(len(request.messages), "message")} with {contents}.'


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")
