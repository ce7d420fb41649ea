"""Fields and content blocks that several APIs share."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Fields, FileData, FileURL, InputFile, Schema
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject

ANY_CONTENT = ["string", "array", "null"]
"""The types of content: a text, an array of blocks, or null beside tool calls. Agents are shown only the first."""


def string(description: str) -> Schema:
    """Return the schema of a string."""
    return {"type": "string", "description": description}


def strings(description: str) -> Schema:
    """Return the schema of an array of strings."""
    return {"type": "array", "items": {"type": "string"}, "description": description}


def count(description: str) -> Schema:
    """Return the schema of an integer from 1."""
    return {"type": "integer", "minimum": 1, "description": description}


def free_form(description: str) -> Schema:
    """Return the schema of any object."""
    return {**FREE_FORM, "description": description}


def integers(*names: str) -> Fields:
    """Return the schemas of further fields: integers, which clients may write as floats, or null."""
    return {name: {"type": ["integer", "null"]} for name in names}


PROMPT = string("The user's message; shorthand for messages.")
SYSTEM = string("System instructions, sent before the messages.")
IMAGES = strings("Images for the prompt: paths, data: URLs or https URLs.")
TOOLS: Schema = {
    "type": "array",
    "items": FREE_FORM,
    "description": "Functions the model may call; calls are returned, not executed.",
}
MAX_TOKENS = count("Maximum tokens in the answer.")


def messages_schema(roles: str, content: str | Sequence[str] = "string") -> Schema:
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


def with_messages(
    arguments: JSONObject, *shorthands: str, images: Sequence[JSONObject] = (), images_first: bool = False
) -> JSONObject:
    """Return the body of a conversation.

    Args:
        arguments: The tool's arguments; fields that are no shorthands pass through.
        shorthands: The arguments that become messages. If `system` is among them, it becomes the first one; `prompt`
            becomes the last one.
        images: Images for the prompt, as content blocks of the API.
        images_first: Whether they stand before the prompt's text.

    Raises:
        InvalidArgumentsError: `messages` is not a list.
    """
    messages = conversation_in(arguments, "messages") if "messages" in arguments else []
    if "system" in shorthands and "system" in arguments:
        messages.insert(0, {"role": "system", "content": arguments["system"]})
    question = prompt = arguments.get("prompt")
    if images:
        text = [{"type": "text", "text": prompt}] if prompt else []
        question = [*images, *text] if images_first else [*text, *images]
    if question is not None:
        messages.append({"role": "user", "content": question})
    body = {name: value for name, value in arguments.items() if name != "messages" and name not in shorthands}
    return {"messages": messages, **body} if messages else body


def conversation_in(arguments: JSONObject, name: str) -> list[Any]:
    """Return a copy of the conversation under a name; an object is a list of one.

    Raises:
        InvalidArgumentsError: it is of another type, which only a schema in the settings lets through.
    """
    value = arguments.get(name) or []
    if not isinstance(value, dict | list):
        raise InvalidArgumentsError(
            f"`{name}` has to be an array.", hint="Pass the conversation as an array of objects, or use `prompt`."
        )
    return [value] if isinstance(value, dict) else [*value]


def image_url(image: InputFile) -> str:
    """Return an image as a URL, as OpenAI's formats require: its own, or a `data:` URL with its content."""
    match image:
        case FileData(media_type=media_type):
            return f"data:{media_type};base64,{base64_of(image)}"
        case FileURL(url=url):
            return url


def base64_of(file: FileData) -> str:
    """Return a file's content in base64."""
    return base64.b64encode(file.data).decode("ascii")


def content_text(content: Any, kind: str = "text") -> str | None:
    """Return the text of a message's content, or None if it has no text.

    Args:
        content: A string, or an array of blocks.
        kind: The type of the blocks that hold text; others, such as reasoning, are ignored.
    """
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return joined_texts(block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == kind)


def joined_texts(pieces: Iterable[Any]) -> str | None:
    """Join the pieces that are strings; return None if none is."""
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "".join(texts) if texts else None
