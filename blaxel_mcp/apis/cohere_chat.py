"""The Cohere chat API, version 2: `POST /v2/chat`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    MAX_TOKENS,
    PROMPT,
    SYSTEM,
    TOOLS,
    content_text,
    free_form,
    integers,
    messages_schema,
    strings,
    with_messages,
)
from blaxel_mcp.core.json_text import JSONObject

_ROLES = "system, user, assistant or tool."


class CohereChat(ModelAPI):
    """Answers a conversation with a message that cites documents."""

    name = "cohere-chat"
    path = "/v2/chat"
    summary = "Answers `prompt`, or a conversation in `messages`."
    streams = True
    conversation = "messages"
    fields: ClassVar[Fields] = {
        "prompt": PROMPT,
        "system": SYSTEM,
        "messages": messages_schema(_ROLES),
        "max_tokens": MAX_TOKENS,
        "temperature": {"type": "number", "minimum": 0, "description": "0 or more; 0 is least random."},
        "response_format": free_form('For JSON: {"type": "json_object"}, with a json_schema.'),
        "tools": TOOLS,
        "documents": strings("Texts for the answer to cite; objects with id and data also work."),
    }
    accepted_fields: ClassVar[Fields] = {
        "messages": messages_schema(_ROLES, ANY_CONTENT),
        "documents": {"type": "array", "items": {"type": ["string", "object"]}},
        **integers("k", "seed"),
    }
    listed_fields = ("prompt", "system", "messages", "documents", "max_tokens")
    listed_hints: ClassVar[Mapping[str, str]] = {"documents": "Texts to cite."}

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with `system` as the first message, and `prompt` as the last one."""
        return with_messages(arguments, "prompt", "system")

    def text(self, answer: Any) -> str | None:
        """Return the text of the message, without thinking."""
        match answer:
            case {"message": {"content": content}}:
                return content_text(content)
        return None
