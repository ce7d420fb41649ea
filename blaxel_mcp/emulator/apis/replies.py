"""What the emulated models reply, before any provider's format: the same whichever API asks."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from blaxel_mcp.emulator.apis.answers import answer_text, prompt_tokens, tokens_of
from blaxel_mcp.emulator.apis.chat_request import ChatRequest
from blaxel_mcp.emulator.apis.schema_values import value_for

Ending = Literal["stop", "length", "stop_text", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that is to be called in place of an answer."""

    name: str
    arguments: dict[str, Any]

    @property
    def arguments_json(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model replies.

    Args:
        tokens: The text, token by token; empty when a tool is called.
        ending: Why it ends.
        stop_text: The text before which it ended, where it ended at one.
        tool_call: The function to call.
    """

    tokens: tuple[str, ...]
    ending: Ending
    stop_text: str | None = None
    tool_call: ToolCall | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)

    @property
    def output_tokens(self) -> int:
        """How many tokens were generated, those of a tool call's arguments included."""
        return len(tokens_of(self.tool_call.arguments_json)) if self.tool_call else len(self.tokens)


def reply_to(request: ChatRequest) -> Reply:
    """Return the reply to a conversation, within its limits."""
    if request.forced_tool is not None:
        arguments = value_for(request.forced_tool.parameters, request.last_user_text)
        return Reply(tokens=(), ending="tool", tool_call=ToolCall(name=request.forced_tool.name, arguments=arguments))
    text, stop_text = _before_stop(answer_text(request), request.stops)
    tokens = tuple(tokens_of(text))
    if request.max_tokens is not None and len(tokens) > request.max_tokens:
        return Reply(tokens=tokens[: request.max_tokens], ending="length")
    return Reply(tokens=tokens, ending="stop" if stop_text is None else "stop_text", stop_text=stop_text)


def thought_about(request: ChatRequest) -> str:
    """Return what a reasoning model thinks before it replies."""
    return f"The conversation has {prompt_tokens(request)} words; the last of them decide."


def identifier(prefix: str, body: dict[str, Any]) -> str:
    """Return an id that is the same for the same body."""
    return prefix + hashlib.sha256(json.dumps(body).encode()).hexdigest()[:24]


def _before_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """Return the text before whichever stop comes first, and that stop."""
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    position, stop = min(found)
    return text[:position], stop
