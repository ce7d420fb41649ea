"""The content blocks of a tool result, and the URIs of the answers that they come from."""

import base64
from urllib.parse import quote, unquote

import mcp_types as types

from blaxel_mcp.core.media_types import IMAGE_TYPES, media_type_of
from blaxel_mcp.tools.results.media import Media

CALLS_URI = "blaxel://calls/"
"""The prefix of each answer's URI; a JSON Pointer after the call's id picks a part."""


def call_uri(call_id: str, pointer: str | None = None) -> str:
    """Return the URI of an answer, or of the part of it that a JSON Pointer picks."""
    return f"{CALLS_URI}{call_id}{quote(pointer or '', safe='/~', errors='replace')}"


def parse_call_uri(uri: str) -> tuple[str, str | None] | None:
    """Return the call id and the JSON Pointer of an answer's URI; None for any other URI."""
    if not uri.startswith(CALLS_URI):
        return None
    call_id, slash, pointer = uri.removeprefix(CALLS_URI).partition("/")
    return call_id, f"/{unquote(pointer)}" if slash else None


def text_block(text: str) -> types.TextContent:
    """Return a text block, without half surrogate pairs: they have no UTF-8 form and would end the connection."""
    return types.TextContent(type="text", text=text if text.isascii() else text.encode("utf-8", "replace").decode())


def media_block(media: Media, uri: str) -> types.ContentBlock:
    """Return an image or audio block; anything else, also a picture that models do not take, becomes a resource."""
    encoded = base64.b64encode(media.data).decode("ascii")
    if media.media_type in IMAGE_TYPES and media_type_of(media.data) == media.media_type:
        return types.ImageContent(type="image", data=encoded, mime_type=media.media_type)
    if media.media_type.startswith("audio/"):
        return types.AudioContent(type="audio", data=encoded, mime_type=media.media_type)
    blob = types.BlobResourceContents(uri=uri, blob=encoded, mime_type=media.media_type)
    return types.EmbeddedResource(type="resource", resource=blob)


def link_block(media: Media, uri: str, name: str) -> types.ResourceLink:
    """Return a link to a medium that is too large for a result."""
    return types.ResourceLink(
        type="resource_link", uri=uri, name=name, mime_type=media.media_type, size=len(media.data)
    )
