"""The chat completions API: OpenAI's, and what most other providers speak.

The body is the one of OpenAI's `POST /v1/chat/completions`.
"""

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
    require_messages,
    without,
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
            "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is steadiest."},
            "response_format": {**FREE_FORM, "description": 'For JSON: {"type": "json_object"} or a json_schema.'},
            "tools": TOOLS,
            "reasoning_effort": {"type": "string", "description": "minimal, low, medium or high, where supported."},
        }
    )


class ChatCompletions(ModelAPI):
    """Messages in, a message out."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    summary = "Ask this model: give `prompt` (and `system`), or a whole conversation in `messages`."
    streams = True
    file_arguments = ("images",)

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return _schema(TEXT_CONTENT)

    def accepted_schema(self) -> JSONObject:
        """The same with `content` left open: content parts are an array, null goes with tool calls."""
        return _schema(ANY_CONTENT)

    def body(self, arguments: JSONObject) -> JSONObject:
        """Spell `system`, and `prompt` with `images`, out as the first and the last of `messages`."""
        messages: list[Any] = list(arguments.get("messages", []))
        if "system" in arguments:
            messages.insert(0, {"role": "system", "content": arguments["system"]})
        prompt, images = arguments.get("prompt"), arguments.get("images")
        if images:
            text = [{"type": "text", "text": prompt}] if prompt else []
            parts = ({"type": "image_url", "image_url": {"url": image_url(image)}} for image in images)
            messages.append({"role": "user", "content": [*text, *parts]})
        elif "prompt" in arguments:
            messages.append({"role": "user", "content": prompt})
        body = without(arguments, "prompt", "system", "images", "messages")
        return {"messages": messages, **body} if messages else body

    def check(self, body: JSONObject) -> None:
        """Refuse a request without a message to answer."""
        require_messages(body, "messages")

    def text(self, answer: Any) -> str | None:
        """What the first choice says."""
        match answer:
            case {"choices": [{"message": {"content": content}}, *_]}:
                return content_text(content)
        return None
