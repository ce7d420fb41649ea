"""The content blocks of a tool result, the URIs of the answers that they come from, and files for large media."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.core.media_types import IMAGE_TYPES, extension_for, media_type_of, shown_media_type
from blaxel_mcp.core.private_files import make_folder, write_private
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.store.store import CallStore

CALLS_URI = "blaxel://calls/"
"""The prefix of each answer's URI; a JSON Pointer after the call's id picks a part."""

_UNFIT_FOR_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ID_TAIL, _MAX_POINTER = 6, 90
"""Characters of the call's id and of the pointer in a file name, which keep files of the same second apart. With a
model's name of 128, it has no more than the 255 that file systems allow."""


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


async def write_media_file(
    media: Media, context: CallContext, store: CallStore | None, output_dir: str | None, *, is_asked: bool = False
) -> tuple[types.ResourceLink, str]:
    """Write a medium to a file, and return a link to the resource that has it too, and a sentence on where the file is.

    If that fails, the sentence says so. Without an `output_dir`, `store` keeps the file for a while. Without a `store`,
    none is written, since the caller could not read it. `is_asked` is whether the caller asked for a file with vectors.
    """
    model = _UNFIT_FOR_A_NAME.sub("-", context.model or "media").strip(".-") or "media"
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    pointer = _UNFIT_FOR_A_NAME.sub("-", media.pointer or "")[-_MAX_POINTER:]
    name = f"{model}-{moment}-{context.call_id[-_ID_TAIL:]}{pointer}{extension_for(media.media_type)}"
    uri = call_uri(context.call_id, media.pointer)
    size = f"{len(media.data):,} bytes"
    if is_asked:
        # The resource is the part of the answer that has them.
        it, verb, kept = "They", "are", "As the endpoint sent them, they are for a limited time"
        size = f"The vectors are {size} of JSON."
    else:
        it, verb, kept = "It", "is", "For a limited time it is"
        size = f"The {shown_media_type(media.media_type)} of {size} is too large for this result."
    if store is None:
        return link_block(media, uri, name), f"{size} {kept} the resource {uri}."
    try:
        if output_dir is None:
            path = await store.put_file(context.call_id, name, media.data)
            place = (
                f"{it} {verb} in the file {path}, which is deleted later; set `files.output_dir` to keep such files."
            )
        else:
            path = await anyio.to_thread.run_sync(_write, output_dir, name, media.data)
            place = f"{it} {verb} in the file {path}."
    except (OSError, RuntimeError) as error:
        # The second one: this user has no home directory.
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        place = f"{it} could not be written to a file: {reason}."
    return link_block(media, uri, name), f"{size} {place} {kept} also the resource {uri}."


def _write(folder: str, name: str, data: bytes) -> Path:
    path = Path(folder).expanduser().absolute() / name
    make_folder(path.parent)
    write_private(path, data)
    return path
