"""The APIs that answer a conversation: OpenAI's chat completions and responses, Anthropic's messages, Cohere's chat.

Most other providers support chat completions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from blaxel_mcp.apis.base import FREE_FORM, Encoded, Fields, FileURL, InputFile, ModelAPI, Schema
from blaxel_mcp.apis.content import (
    IMAGES,
    TOOLS,
    base64_of,
    content_text,
    conversation_in,
    count,
    free_form,
    integers,
    joined_texts,
    string,
    strings,
)
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

_OPENAI_ROLES = "system, developer, user, assistant or tool."
_ANTHROPIC_ROLES = "user or assistant."
_COHERE_ROLES = "system, user, assistant or tool."

DEFAULT_MAX_TOKENS = 4096
"""The default of `max_tokens`, which Anthropic's API requires."""

_PROMPT = string("The user's message; shorthand for messages.")
_SYSTEM = string("System instructions, sent before the messages.")
_MAX_TOKENS = count("Maximum tokens in the answer.")


def _messages(roles: str, content: str | Sequence[str] = "string") -> Schema:
    """Return the schema of `messages`, with the description of a message's role and the types of its content."""
    message: JSONObject = {
        "type": "object",
        "properties": {
            "role": string(roles),
            "content": {"type": content, "description": "The text; an array of content parts also works."},
        },
        "required": ["role"],
        "additionalProperties": {},
    }
    return {"type": "array", "items": message, "description": "The conversation so far; prompt, if given, is appended."}


def _accepted_messages(roles: str) -> Schema:
    """Return the wider schema: content is a text, an array of blocks, or null beside tool calls."""
    return _messages(roles, ["string", "array", "null"])


class _WithMessages(ModelAPI):
    """An API whose requests hold the conversation in `messages`.

    Attributes:
        shorthands: The arguments that become messages; others are fields of the API.
        images_first: Whether images stand before the prompt's text.
    """

    summary = "Answers `prompt`, or a conversation in `messages`."
    streams = True
    conversation = "messages"
    file_arguments: ClassVar[tuple[str, ...]] = ("images",)
    file_types = "image/"
    listed_fields = ("prompt", "system", "images", "messages", "max_tokens")
    listed_hints: ClassVar[Mapping[str, str]] = {"images": "Paths or URLs."}
    shorthands: ClassVar[tuple[str, ...]] = ("prompt", "system", "images")
    images_first: ClassVar[bool] = False

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the body with the shorthands as messages: `system` as the first, `prompt` with `images` as the last.

        Raises:
            InvalidArgumentsError: `messages` is not a list.
        """
        messages = conversation_in(arguments, "messages") if "messages" in arguments else []
        shorthands = {name: arguments[name] for name in self.shorthands if name in arguments}
        if "system" in shorthands:
            messages.insert(0, {"role": "system", "content": shorthands["system"]})
        question = prompt = shorthands.get("prompt")
        if images := [self._image(image) for image in shorthands.get("images") or ()]:
            text = [{"type": "text", "text": prompt}] if prompt else []
            question = [*images, *text] if self.images_first else [*text, *images]
        if question is not None:
            messages.append({"role": "user", "content": question})
        body = {name: value for name, value in arguments.items() if name != "messages" and name not in shorthands}
        return {"messages": messages, **body} if messages else body

    def _image(self, image: InputFile) -> JSONObject:
        """Return an image as a content block: here OpenAI's."""
        url = image.url if isinstance(image, FileURL) else f"data:{image.media_type};base64,{base64_of(image)}"
        return {"type": "image_url", "image_url": {"url": url}}


class ChatCompletions(_WithMessages):
    """Answers a conversation with a message."""

    name = "chat-completions"
    path = "/v1/chat/completions"
    fields: ClassVar[Fields] = {
        "prompt": _PROMPT,
        "system": _SYSTEM,
        "images": IMAGES,
        "messages": _messages(_OPENAI_ROLES),
        "max_tokens": _MAX_TOKENS,
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0 to 2; 0 is least random."},
        "response_format": free_form('For JSON: {"type": "json_object"} or a json_schema.'),
        "tools": TOOLS,
        "reasoning_effort": string("minimal, low, medium or high, where supported."),
    }
    accepted_fields: ClassVar[Fields] = {
        "messages": _accepted_messages(_OPENAI_ROLES),
        **integers("max_completion_tokens", "n", "seed", "top_k", "top_logprobs"),
    }

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
    shorthands = ("prompt", "images")
    # Anthropic's documentation advises it.
    images_first = True
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    fields: ClassVar[Fields] = {
        "prompt": _PROMPT,
        "system": string("System instructions."),
        "images": IMAGES,
        "messages": _messages(_ANTHROPIC_ROLES),
        "max_tokens": count(f"Maximum tokens in the answer (default: {DEFAULT_MAX_TOKENS})."),
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1; 0 is least random."},
        "tools": TOOLS,
        "thinking": free_form('Such as {"type": "enabled", "budget_tokens": 2000}.'),
    }
    accepted_fields: ClassVar[Fields] = {
        "system": {"type": ["string", "array"], "minLength": 1},
        "messages": _accepted_messages(_ANTHROPIC_ROLES),
        "thinking": {**FREE_FORM, "properties": integers("budget_tokens")},
        **integers("top_k"),
    }

    def _image(self, image: InputFile) -> JSONObject:
        if isinstance(image, FileURL):
            return {"type": "image", "source": {"type": "url", "url": image.url}}
        return {
            "type": "image",
            "source": {"type": "base64", "media_type": image.media_type, "data": base64_of(image)},
        }

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
    shorthands = ("prompt", "system")
    file_arguments = ()
    fields: ClassVar[Fields] = {
        "prompt": _PROMPT,
        "system": _SYSTEM,
        "messages": _messages(_COHERE_ROLES),
        "max_tokens": _MAX_TOKENS,
        "temperature": {"type": "number", "minimum": 0, "description": "0 or more; 0 is least random."},
        "response_format": free_form('For JSON: {"type": "json_object"}, with a json_schema.'),
        "tools": TOOLS,
        "documents": strings("Texts for the answer to cite; objects with id and data also work."),
    }
    accepted_fields: ClassVar[Fields] = {
        "messages": _accepted_messages(_COHERE_ROLES),
        "documents": {"type": "array", "items": {"type": ["string", "object"]}},
        **integers("k", "seed"),
    }
    listed_fields = ("prompt", "system", "messages", "documents", "max_tokens")
    listed_hints: ClassVar[Mapping[str, str]] = {"documents": "Texts to cite."}

    def text(self, answer: Any) -> str | None:
        """Return the text of the message, without thinking."""
        match answer:
            case {"message": {"content": content}}:
                return content_text(content)
        return None
