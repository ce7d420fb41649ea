"""The messages API: Anthropic's `POST /v1/messages`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import FREE_FORM, Encoded, Fields, ModelAPI
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    IMAGES,
    PROMPT,
    TOOLS,
    base64_of,
    content_text,
    count,
    free_form,
    integers,
    messages_schema,
    optional_text,
    with_messages,
)
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.json_text import JSONObject

_ROLES = "user or assistant."

DEFAULT_MAX_TOKENS = 4096
"""The default of `max_tokens`, which the API requires."""


class Messages(ModelAPI):
    """Answers a conversation with content blocks."""

    name = "messages"
    path = "/v1/messages"
    summary = "Answers `prompt`, or a conversation in `messages`."
    streams = True
    conversation = "messages"
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    file_arguments = ("images",)
    file_types = "image/"
    fields: ClassVar[Fields] = {
        "prompt": PROMPT,
        "system": optional_text("System instructions."),
        "images": IMAGES,
        "messages": messages_schema(_ROLES),
        "max_tokens": count(f"Maximum tokens in the answer (default: {DEFAULT_MAX_TOKENS})."),
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1; 0 is least random."},
        "tools": TOOLS,
        "thinking": free_form('Such as {"type": "enabled", "budget_tokens": 2000}.'),
    }
    accepted_fields: ClassVar[Fields] = {
        "system": {"type": ["string", "array"], "minLength": 1},
        "messages": messages_schema(_ROLES, ANY_CONTENT),
        "thinking": {**FREE_FORM, "properties": integers("budget_tokens")},
        **integers("top_k"),
    }
    listed_fields = ("prompt", "system", "images", "messages", "max_tokens")
    listed_hints: ClassVar[Mapping[str, str]] = {"images": "Paths or URLs."}

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `prompt` and `images` as the last message; `system` is a field of the API itself."""
        images = [{"type": "image", "source": _image_source(image)} for image in arguments.get("images") or ()]
        # Anthropic's documentation advises images before text.
        return with_messages(arguments, "prompt", "images", images=images, images_first=True)

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
