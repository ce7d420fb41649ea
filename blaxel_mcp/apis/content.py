"""Fields and content blocks that several APIs share."""

import base64
from collections.abc import Collection, Iterable
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Schema
from blaxel_mcp.apis.input_files import FileData, FileURL, InputFile
from blaxel_mcp.core.json_text import JSONObject

ANY_CONTENT: Schema = {"type": ["string", "array", "null"]}
"""Content in all its forms: a text, an array of blocks, or null beside tool calls."""

TEXT_CONTENT: Schema = {"type": "string"}
"""Content as advertised to agents: the only form that schema dialects without unions can express."""

PROMPT: Schema = {"type": "string", "description": "The user's message; shorthand for messages."}
SYSTEM: Schema = {"type": "string", "description": "System instructions, sent before the messages."}
IMAGES: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Images for the prompt: paths, data: URLs or https URLs.",
}
TOOLS: Schema = {
    "type": "array",
    "items": FREE_FORM,
    "description": "Functions the model may call; calls are returned, not executed.",
}
MAX_TOKENS: Schema = {"type": "integer", "minimum": 1, "description": "Maximum tokens in the answer."}


def messages_schema(content: Schema, *, roles: str) -> JSONObject:
    """Return the schema of `messages`.

    Args:
        content: The schema of a message's content.
        roles: The description of its role.
    """
    message: JSONObject = {
        "type": "object",
        "properties": {
            "role": {"type": "string", "description": roles},
            "content": {**content, "description": "The text; an array of content parts also works."},
        },
        "required": ["role"],
        "additionalProperties": {},
    }
    return {"type": "array", "items": message, "description": "The conversation so far; prompt, if given, is appended."}


def object_schema(properties: JSONObject, *required: str) -> JSONObject:
    """Return the schema of a tool's arguments, which accepts further fields."""
    schema: JSONObject = {"type": "object", "properties": properties, "additionalProperties": {}}
    return {**schema, "required": list(required)} if required else schema


def with_messages(arguments: JSONObject, question: Any, *, shorthands: Collection[str]) -> JSONObject:
    """Return the body of a conversation.

    Args:
        arguments: The tool's arguments; fields that are no shorthands pass through.
        question: The content of the user's last message; None for none.
        shorthands: The arguments that become messages. If `system` is among them, it becomes the first one.
    """
    messages: list[Any] = list(arguments.get("messages", []))
    if "system" in shorthands and "system" in arguments:
        messages.insert(0, {"role": "system", "content": arguments["system"]})
    if question is not None:
        messages.append({"role": "user", "content": question})
    body = {name: value for name, value in arguments.items() if name != "messages" and name not in shorthands}
    return {"messages": messages, **body} if messages else body


def whole_numbers(schema: Schema, *names: str) -> JSONObject:
    """Return the schema of an object with further integers, which clients may write as floats, or null."""
    integers = {name: {"type": ["integer", "null"]} for name in names}
    return {**schema, "properties": {**integers, **schema.get("properties", {})}}


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
