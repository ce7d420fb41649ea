"""The APIs that answer a conversation: OpenAI's chat completions and responses, Anthropic's messages, Cohere's chat.

Most other providers support chat completions.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import FREE_FORM, Encoded, Fields, FileData, FileURL, InputFile, ModelAPI
from blaxel_mcp.apis.content import (
    ANY_CONTENT,
    IMAGES,
    MAX_TOKENS,
    PROMPT,
    SYSTEM,
    TOOLS,
    base64_of,
    content_text,
    count,
    free_form,
    image_url,
    integers,
    joined_texts,
    messages_schema,
    string,
    strings,
    with_messages,
)
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_ROLES = "system, user, assistant or tool."
_ROLES_OF_OPENAI = "system, developer, user, assistant or tool."
_ROLES_OF_ANTHROPIC = "user or assistant."

DEFAULT_MAX_TOKENS = 4096
"""The default of `max_tokens`, which Anthropic's API requires."""


class _WithMessages(ModelAPI):
    """An API whose requests hold the conversation in `messages`."""

    summary = "Answers `prompt`, or a conversation in `messages`."
    streams = True
    conversation = "messages"


class ChatCompletions(_WithMessages):
    """Answers a conversation with a message."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    file_arguments = ("images",)
    file_types = "image/"
    fields: ClassVar[Fields] = {
        "prompt": PROMPT,
        "system": SYSTEM,
        "images": IMAGES,
        "messages": messages_schema(_ROLES_OF_OPENAI),
        "max_tokens": MAX_TOKENS,
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is least random."},
        "response_format": free_form('For JSON: {"type": "json_object"} or a json_schema.'),
        "tools": TOOLS,
        "reasoning_effort": string("minimal, low, medium or high, where supported."),
    }
    accepted_fields: ClassVar[Fields] = {
        "messages": messages_schema(_ROLES_OF_OPENAI, ANY_CONTENT),
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


class Responses(ModelAPI):
    """Answers input items with output items."""

    name = "responses"
    path = "/v1/responses"
    summary = "Answers `input`, a question or a task."
    streams = True
    fields: ClassVar[Fields] = {
        "input": string("The question or task; an array of input items also works."),
        "instructions": string("System instructions."),
        "max_output_tokens": count("Maximum tokens, including reasoning; OpenAI requires 16 or more."),
        "reasoning": free_form('Such as {"effort": "low"}: minimal, low, medium or high.'),
        "text": free_form('Output format, such as {"format": {"type": "json_object"}}.'),
        "tools": TOOLS,
        "previous_response_id": string("The id of a response to continue from."),
    }
    accepted_fields: ClassVar[Fields] = {
        "input": {"type": ["string", "array"]},
        **integers("max_tool_calls", "top_logprobs"),
    }
    required = ("input",)
    listed_fields = ("input", "instructions", "max_output_tokens", "previous_response_id")

    def accepted_schema(self) -> JSONObject:
        """Return the wider schema without required fields, since several fields can hold the question."""
        return {**super().accepted_schema(), "required": []}

    def check(self, body: JSONObject) -> None:
        """Reject a request without a question."""
        # A `prompt` is a stored template here, not a text.
        sources = (body.get(name) for name in ("input", "previous_response_id", "conversation"))
        if not (any(sources) or isinstance(body.get("prompt"), dict)):
            raise InvalidArgumentsError(
                "There is nothing for the model to answer.",
                hint="Set `input` to the question, or to an array of input items.",
            )

    def text(self, answer: Any) -> str | None:
        """Return the text of the output messages, without reasoning."""
        match answer:
            case {"output": [*items]}:
                messages = (item for item in items if isinstance(item, dict) and item.get("type") == "message")
                contents = (message.get("content") for message in messages)
                return joined_texts(
                    content_text(blocks, "output_text") for blocks in contents if isinstance(blocks, list)
                )
        return None


class Messages(_WithMessages):
    """Answers a conversation with content blocks."""

    name = "messages"
    path = "/v1/messages"
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    file_arguments = ("images",)
    file_types = "image/"
    fields: ClassVar[Fields] = {
        "prompt": PROMPT,
        "system": string("System instructions."),
        "images": IMAGES,
        "messages": messages_schema(_ROLES_OF_ANTHROPIC),
        "max_tokens": count(f"Maximum tokens in the answer (default: {DEFAULT_MAX_TOKENS})."),
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1; 0 is least random."},
        "tools": TOOLS,
        "thinking": free_form('Such as {"type": "enabled", "budget_tokens": 2000}.'),
    }
    accepted_fields: ClassVar[Fields] = {
        "system": {"type": ["string", "array"], "minLength": 1},
        "messages": messages_schema(_ROLES_OF_ANTHROPIC, ANY_CONTENT),
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


class CohereChat(_WithMessages):
    """Answers a conversation with a message that cites documents."""

    name = "cohere-chat"
    path = "/v2/chat"
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
