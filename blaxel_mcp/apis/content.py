"""Fields and content blocks that several APIs share."""

import base64
from collections.abc import Iterable
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Fields, FileData, Schema
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


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


IMAGES = strings("Images for the prompt: paths, data: URLs or https URLs.")
TOOLS: Schema = {
    "type": "array",
    "items": FREE_FORM,
    "description": "Functions the model may call; calls are returned, not executed.",
}


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
