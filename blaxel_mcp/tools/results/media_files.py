"""Files for media that are too large for a tool result."""

import re
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.core.media_types import extension_for, shown_media_type
from blaxel_mcp.core.private_files import make_folder, write_private
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.results.content_blocks import call_uri, link_block
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.store.store import CallStore

_UNFIT_FOR_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ID_TAIL = 6
"""Characters of the call's id in a file name, which keep files of the same second apart."""


async def write_media_file(
    media: Media, context: CallContext, store: CallStore | None, output_dir: str | None, *, is_asked: bool = False
) -> tuple[types.ResourceLink, str]:
    """Write a medium to a file, and return a link to the resource that has it too, and a sentence on where the file is.

    If that fails, the sentence says so. Without an `output_dir`, `store` keeps the file for a while. Without a `store`,
    none is written, since the caller could not read it. `is_asked` is whether the caller asked for a file with vectors.
    """
    model = _UNFIT_FOR_A_NAME.sub("-", context.model or "media").strip(".-") or "media"
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    pointer = _UNFIT_FOR_A_NAME.sub("-", media.pointer or "")[-40:]
    name = f"{model}-{moment}-{context.call_id[-_ID_TAIL:]}{pointer}{extension_for(media.media_type)}"
    uri = call_uri(context.call_id, media.pointer)
    kind, size = shown_media_type(media.media_type), f"{len(media.data):,} bytes"
    size = f"The vectors are {size} of JSON." if is_asked else f"The {kind} of {size} is too large for this result."
    if store is None:
        return link_block(media, uri, name), f"{size} For a limited time it is the resource {uri}."
    try:
        if output_dir is None:
            path = await store.put_file(context.call_id, name, media.data)
            place = f"It is in the file {path}, which is deleted later; set `files.output_dir` to keep such files."
        else:

            def write() -> Path:
                path = Path(output_dir).expanduser().absolute() / name
                make_folder(path.parent)
                write_private(path, media.data)
                return path

            path = await anyio.to_thread.run_sync(write)
            place = f"It is in the file {path}."
    except (OSError, RuntimeError) as error:
        # The second one: this user has no home directory.
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        place = f"It could not be written to a file: {reason}."
    return link_block(media, uri, name), f"{size} {place} For a limited time it is also the resource {uri}."
