"""Media that are too large for a tool's result, handed over as files."""

import re
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import mcp_types as types

from blaxel_mcp.core.media_types import extension_for
from blaxel_mcp.core.private_files import make_folder, write_private
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.tools.results.content_blocks import call_uri, link_block
from blaxel_mcp.tools.results.media import Media
from blaxel_mcp.tools.store.store import CallStore

_UNFIT_FOR_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_TAIL = 6
"""Characters of the call's id that keep two files of one second apart."""


async def hand_over(
    media: Media, context: CallContext, store: CallStore, output_dir: str | None
) -> tuple[types.ResourceLink, str]:
    """Write a medium to a file; a disk that refuses it is told of and no failure.

    Returns:
        A link to the resource that has it too, and a sentence that says where it is.
    """
    name = _file_name(media, context)
    uri = call_uri(context.call_id, media.pointer)
    what = f"The {media.media_type} of {len(media.data):,} bytes is too large for this result."
    try:
        if output_dir is None:
            path = await store.put_file(context.call_id, name, media.data)
            where = f"It is in the file {path} for a while; `files.output_dir` in the settings would keep it."
        else:
            path = await anyio.to_thread.run_sync(_write, output_dir, name, media.data)
            where = f"It is in the file {path}."
    except OSError as error:
        where = f"It could not be written to a file: {error.strerror or error}."
    return link_block(media, uri, name), f"{what} {where} For a while it is the resource {uri} as well."


def _file_name(media: Media, context: CallContext) -> str:
    model = _UNFIT_FOR_A_NAME.sub("-", context.model or "media").strip(".-") or "media"
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    place = _UNFIT_FOR_A_NAME.sub("-", media.pointer or "")[-40:]
    return f"{model}-{moment}-{context.call_id[-_TAIL:]}{place}{extension_for(media.media_type)}"


def _write(folder: str, name: str, data: bytes) -> Path:
    directory = Path(folder).expanduser().absolute()
    make_folder(directory)
    path = directory / name
    write_private(path, data)
    return path
