"""The chat completions API: OpenAI's `POST /v1/chat/completions`, which most other providers support."""

from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    IMAGES,
    MAX_TOKENS,
    PROMPT,
    SYSTEM,
    TOOLS,
    content_text,
    free_form,
    image_url,
    integers,
    messages_schema,
    string,
    with_messages,
)
from blaxel_mcp.core.json_text import JSONObject

_ROLES = "system, developer, user, assistant or tool."


class ChatCompletions(ModelAPI):
    """Answers a conversation with a message."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    summary = "Answers `prompt`, or a conversation in `messages`."
    streams = True
    conversation = "messages"
    file_arguments = ("images",)
    file_types = "image/"
    fields: ClassVar[Fields] = {
        "prompt": PROMPT,
        "system": SYSTEM,
        "images": IMAGES,
        "messages": messages_schema(_ROLES),
        "max_tokens": MAX_TOKENS,
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is least random."},
        "response_format": free_form('For JSON: {"type": "json_object"} or a json_schema.'),
        "tools": TOOLS,
        "reasoning_effort": string("minimal, low, medium or high, where supported."),
    }
    accepted_fields: ClassVar[Fields] = {
        "messages": messages_schema(_ROLES, ANY_CONTENT),
        **integers("max_completion_tokens", "n", "seed", "top_k", "top_logprobs"),
    }
    listed_fields = ("prompt", "system", "images", "messages", "max_tokens")
    listed_hints: ClassVar[Mapping[str, str]] = {"images": "Paths or URLs."}

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `system` as the first message, and `prompt` with `images` as the last one."""
        images = [
            {"type": "image_url", "image_url": {"url": image_url(image)}} for image in arguments.get("images") or ()
        ]
        return with_messages(arguments, "prompt", "system", "images", images=images)

    def text(self, answer: Any) -> str | None:
        """Return the text of the first choice."""
        match answer:
            case {"choices": [{"message": {"content": content}}, *_]}:
                return content_text(content)
        return None
