"""What the APIs that hold a conversation have in common: the shape of their fields and of their content blocks."""

import base64
from collections.abc import Iterable
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Schema
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

ANY_CONTENT: Schema = {}
"""Content of any kind: a text, an array of blocks, or the null that goes with tool calls."""

TEXT_CONTENT: Schema = {"type": "string"}
"""Content as an agent is told to write it: the one form that schema dialects without unions can say."""

PROMPT: Schema = {"type": "string", "description": "The user's message: a shorthand for messages."}
SYSTEM: Schema = {"type": "string", "description": "Instructions for the model, put before the messages."}
IMAGES: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Images shown with the prompt. Paths, data: URLs or https URLs.",
}
TOOLS: Schema = {
    "type": "array",
    "items": FREE_FORM,
    "description": "Functions that the model may call: its calls come back in the answer.",
}
MAX_TOKENS: Schema = {"type": "integer", "minimum": 1, "description": "The longest answer, in tokens."}

_FILLED_IN = ("model", "max_tokens")
"""Fields that are in a body though nobody gave them."""

_SHOWN_FIELDS = 10
_SHOWN_CHARS = 40


def messages_schema(content: Schema, *, roles: str) -> JSONObject:
    """The schema of `messages`, where a message has one of the roles and content of this form."""
    message: JSONObject = {
        "type": "object",
        "properties": {
            "role": {"type": "string", "description": roles},
            "content": {**content, "description": "The text; an array of content parts is taken too."},
        },
        "required": ["role"],
        "additionalProperties": {},
    }
    return {
        "type": "array",
        "items": message,
        "description": "The conversation so far; with prompt as well, prompt is its last message.",
    }


def object_schema(properties: JSONObject, *required: str) -> JSONObject:
    """The schema of a tool's arguments; fields without a name in it pass through."""
    schema: JSONObject = {"type": "object", "properties": properties, "additionalProperties": {}}
    return {**schema, "required": list(required)} if required else schema


def without(arguments: JSONObject, *names: str) -> JSONObject:
    """The arguments that a shorthand does not use up, in their order."""
    return {name: value for name, value in arguments.items() if name not in names}


def require_messages(body: JSONObject, name: str) -> None:
    """Refuse a body whose conversation is absent or empty.

    Raises:
        InvalidArgumentsError: there is no message under that name.
    """
    if not body.get(name):
        # A question under another name, `question` or `promt`, has passed through like any field of the API.
        given = [field for field in body if field not in (name, *_FILLED_IN)]
        fields = ", ".join(f"`{field[:_SHOWN_CHARS]}`" for field in given[:_SHOWN_FIELDS])
        instead = f"; the request has {fields} instead" if fields else ""
        raise InvalidArgumentsError(
            "There is no message for the model to answer.",
            hint=f"Give `prompt` with the question, or `{name}` with the conversation{instead}.",
        )


def image_url(image: InputFile) -> str:
    """An image as the URL that OpenAI's formats take: its own, or a `data:` URL with its content."""
    match image:
        case FileData(media_type=media_type):
            return f"data:{media_type};base64,{base64_of(image)}"
        case FileURL(url=url):
            return url


def base64_of(file: FileData) -> str:
    """A file's content as base64 text."""
    return base64.b64encode(file.data).decode("ascii")


def content_text(content: Any, kind: str = "text") -> str | None:
    """The text of a message's content: a string, or the blocks of one kind joined.

    Blocks of another kind, such as reasoning, are left out. None where there is no text.
    """
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return joined_texts(block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == kind)


def joined_texts(pieces: Iterable[Any]) -> str | None:
    """The pieces that are text, as one; None where there are none."""
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "".join(texts) if texts else None
