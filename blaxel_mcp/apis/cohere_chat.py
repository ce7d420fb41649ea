"""The Cohere chat API, version 2: `POST /v2/chat`."""

from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI, Schema
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    MAX_TOKENS,
    PROMPT,
    SYSTEM,
    TEXT_CONTENT,
    TOOLS,
    content_text,
    messages_schema,
    object_schema,
    whole_numbers,
    with_messages,
)
from blaxel_mcp.core.json_text import JSONObject


def _schema(content: Schema, document: Schema) -> JSONObject:
    return object_schema(
        {
            "prompt": PROMPT,
            "system": SYSTEM,
            "messages": messages_schema(content, roles="system, user, assistant or tool."),
            "max_tokens": MAX_TOKENS,
            "temperature": {"type": "number", "minimum": 0, "description": "0 or more; 0 is least random."},
            "response_format": {**FREE_FORM, "description": 'For JSON: {"type": "json_object"}, with a json_schema.'},
            "tools": TOOLS,
            "documents": {
                "type": "array",
                "items": document,
                "description": "Texts for the answer to cite; objects with id and data also work.",
            },
        }
    )


class CohereChat(ModelAPI):
    """Answers a conversation with a message that cites documents."""

    name = "cohere-chat"
    path = "/v2/chat"
    summary = "Answers `prompt`, or a conversation in `messages`."
    listed_fields = MappingProxyType(
        {"prompt": "", "system": "", "messages": "", "documents": "Texts to cite.", "max_tokens": ""}
    )
    streams = True
    conversation = "messages"

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return _schema(TEXT_CONTENT, TEXT_CONTENT)

    def accepted_schema(self) -> JSONObject:
        """Return the same with `content` of any type, and documents as texts or objects."""
        return whole_numbers(_schema(ANY_CONTENT, {"type": ["string", "object"]}), "k", "seed")

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `system` as the first message, and `prompt` as the last one."""
        return with_messages(arguments, arguments.get("prompt"), shorthands=("prompt", "system"))

    def text(self, answer: Any) -> str | None:
        """Return the text of the message, without thinking."""
        match answer:
            case {"message": {"content": content}}:
                return content_text(content)
        return None
