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
    whole_numbers,
    with_messages,
)
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.json_text import JSONObject

DEFAULT_MAX_TOKENS = 4096
"""The default of `max_tokens`, which the API requires."""


def _schema(content: Schema, system: Schema) -> JSONObject:
    return object_schema(
        {
            "prompt": PROMPT,
            "system": {**system, "description": "System instructions."},
            "images": IMAGES,
            "messages": messages_schema(content, roles="user or assistant."),
            "max_tokens": {
                "type": "integer",
                "minimum": 1,
                "description": f"Maximum tokens in the answer (default: {DEFAULT_MAX_TOKENS}).",
            },
            "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1; 0 is least random."},
            "tools": TOOLS,
            "thinking": {**FREE_FORM, "description": 'Such as {"type": "enabled", "budget_tokens": 2000}.'},
        }
    )


class Messages(ModelAPI):
    """Answers a conversation with content blocks."""

    name = "messages"
    path = "/v1/messages"
    summary = "Answers `prompt`, or a conversation in `messages`."
    listed_fields = MappingProxyType(
        {"prompt": "", "system": "", "images": "Paths or URLs.", "messages": "", "max_tokens": ""}
    )
    streams = True
    conversation = "messages"
    headers = MappingProxyType({"anthropic-version": "2023-06-01"})
    file_arguments = ("images",)
    file_types = "image/"

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return _schema(TEXT_CONTENT, TEXT_CONTENT)

    def accepted_schema(self) -> JSONObject:
        """Return the same with `content` and `system` also as arrays of content blocks."""
        schema = _schema(ANY_CONTENT, {"type": ["string", "array"]})
        schema["properties"]["thinking"] = whole_numbers(FREE_FORM, "budget_tokens")
        return whole_numbers(schema, "top_k")

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `prompt` and `images` as the last message; `system` is a field of the API itself."""
        question = prompt = arguments.get("prompt")
        if images := arguments.get("images"):
            # Anthropic's documentation advises images before text.
            text = [{"type": "text", "text": prompt}] if prompt else []
            blocks = ({"type": "image", "source": _image_source(image)} for image in images)
            question = [*blocks, *text]
        return with_messages(arguments, question, shorthands=("prompt", "images"))

    def encode(self, body: Any) -> Encoded:
        """Encode the body, with a default for `max_tokens`, which the API requires.

        The default is set this late so that one in the settings takes precedence.
        """
        if isinstance(body, dict) and "max_tokens" not in body:
            body = {**body, "max_tokens": DEFAULT_MAX_TOKENS + _thinking_budget(body)}
        return super().encode(body)

    def text(self, answer: Any) -> str | None:
        """Return the text of the text blocks, without thinking."""
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
    """Return the tokens reserved for thinking, which `max_tokens` has to exceed."""
    match body:
        case {"thinking": {"budget_tokens": int(budget)}}:
            return max(budget, 0)
    return 0
