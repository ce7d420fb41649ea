"""A conversation to be answered, independent of the API that asked."""

from dataclasses import dataclass
from typing import Any

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
        max_tokens: Maximum tokens per answer; None for no limit.
        stops: Texts before which an answer ends, none of them empty.
        json_schema: JSON Schema of the answer; None for plain text.
        forced_tool: The function that the answer must call.
        stream: Whether to send the answer as events.
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
