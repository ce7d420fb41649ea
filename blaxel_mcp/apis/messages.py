"""The messages API: Anthropic's `POST /v1/messages`."""

from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Encoded, ModelAPI, Schema
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    IMAGES,
    PROMPT,
    TEXT_CONTENT,
    TOOLS,
    base64_of,
    content_text,
    messages_schema,
    object_schema,
    require_messages,
    without,
)
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.json_text import JSONObject

DEFAULT_MAX_TOKENS = 4096
"""How long an answer may be when nobody says: the API has no default of its own, and requires the field."""


def _schema(content: Schema, system: Schema) -> JSONObject:
    return object_schema(
        {
            "prompt": PROMPT,
            "system": {**system, "description": "Instructions for the model."},
            "images": IMAGES,
            "messages": messages_schema(content, roles="user or assistant."),
            "max_tokens": {
                "type": "integer",
                "minimum": 1,
                "description": f"The longest answer, in tokens; {DEFAULT_MAX_TOKENS} unless given.",
            },
            "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1; 0 is steadiest."},
            "tools": TOOLS,
            "thinking": {**FREE_FORM, "description": 'Such as {"type": "enabled", "budget_tokens": 2000}.'},
        }
    )


class Messages(ModelAPI):
    """Messages in, content blocks out."""

    name = "messages"
    path = "/v1/messages"
    summary = "Ask this model: give `prompt` (and `system`), or a whole conversation in `messages`."
    streams = True
    headers = MappingProxyType({"anthropic-version": "2023-06-01"})
    file_arguments = ("images",)

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return _schema(TEXT_CONTENT, TEXT_CONTENT)

    def accepted_schema(self) -> JSONObject:
        """The same with `content` and `system` left open: both may be arrays of content blocks."""
        return _schema(ANY_CONTENT, {"type": ["string", "array"]})

    def body(self, arguments: JSONObject) -> JSONObject:
        """Spell `prompt` with `images` out as the last of `messages`; `system` is a field of the API itself."""
        messages: list[Any] = list(arguments.get("messages", []))
        prompt, images = arguments.get("prompt"), arguments.get("images")
        if images:
            # Anthropic's documentation advises images before text.
            text = [{"type": "text", "text": prompt}] if prompt else []
            blocks = ({"type": "image", "source": _image_source(image)} for image in images)
            messages.append({"role": "user", "content": [*blocks, *text]})
        elif "prompt" in arguments:
            messages.append({"role": "user", "content": prompt})
        body = without(arguments, "prompt", "images", "messages")
        return {"messages": messages, **body} if messages else body

    def check(self, body: JSONObject) -> None:
        """Refuse a request without a message to answer."""
        require_messages(body, "messages")

    def encode(self, body: Any) -> Encoded:
        """Write the body, with the `max_tokens` that it has to have.

        It is filled in this late so that a default of the settings comes before this one.
        """
        if isinstance(body, dict) and "max_tokens" not in body:
            body = {**body, "max_tokens": DEFAULT_MAX_TOKENS + _thinking_budget(body)}
        return super().encode(body)

    def text(self, answer: Any) -> str | None:
        """What the text blocks say, without the thinking before them."""
        match answer:
            case {"content": [*blocks]}:
                return content_text(blocks)
        return None


def _image_source(image: InputFile) -> JSONObject:
    match image:
        case FileData(media_type=media_type):
            return {"type": "base64", "media_type": media_type, "data": base64_of(image)}
        case FileURL(url=url):
            return {"type": "url", "url": url}


def _thinking_budget(body: JSONObject) -> int:
    """The tokens set aside for thinking, which `max_tokens` has to exceed."""
    match body:
        case {"thinking": {"budget_tokens": int(budget)}}:
            return max(budget, 0)
    return 0
