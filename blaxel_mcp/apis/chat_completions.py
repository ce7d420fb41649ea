"""The chat completions API: OpenAI's `POST /v1/chat/completions`, which most other providers support."""

from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI, Schema
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    IMAGES,
    MAX_TOKENS,
    PROMPT,
    SYSTEM,
    TEXT_CONTENT,
    TOOLS,
    content_text,
    image_url,
    messages_schema,
    object_schema,
    whole_numbers,
    with_messages,
)
from blaxel_mcp.core.json_text import JSONObject


def _schema(content: Schema) -> JSONObject:
    return object_schema(
        {
            "prompt": PROMPT,
            "system": SYSTEM,
            "images": IMAGES,
            "messages": messages_schema(content, roles="system, developer, user, assistant or tool."),
            "max_tokens": MAX_TOKENS,
            "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is least random."},
            "response_format": {**FREE_FORM, "description": 'For JSON: {"type": "json_object"} or a json_schema.'},
            "tools": TOOLS,
            "reasoning_effort": {"type": "string", "description": "minimal, low, medium or high, where supported."},
        }
    )


class ChatCompletions(ModelAPI):
    """Answers a conversation with a message."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    summary = "Answers `prompt`, or a conversation in `messages`."
    listed_fields = MappingProxyType(
        {"prompt": "", "system": "", "images": "Paths or URLs.", "messages": "", "max_tokens": ""}
    )
    streams = True
    conversation = "messages"
    file_arguments = ("images",)
    file_types = "image/"

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return _schema(TEXT_CONTENT)

    def accepted_schema(self) -> JSONObject:
        """Return the same with `content` of any type: content parts are an array, and tool calls come with null."""
        return whole_numbers(_schema(ANY_CONTENT), "max_completion_tokens", "n", "seed", "top_k", "top_logprobs")

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `system` as the first message, and `prompt` with `images` as the last one."""
        question = prompt = arguments.get("prompt")
        if images := arguments.get("images"):
            text = [{"type": "text", "text": prompt}] if prompt else []
            parts = ({"type": "image_url", "image_url": {"url": image_url(image)}} for image in images)
            question = [*text, *parts]
        return with_messages(arguments, question, shorthands=("prompt", "system", "images"))

    def text(self, answer: Any) -> str | None:
        """Return the text of the first choice."""
        match answer:
            case {"choices": [{"message": {"content": content}}, *_]}:
                return content_text(content)
        return None
