"""Pictures: `/v1/images/generations` (OpenAI API reference). A pattern in colours that the prompt decides on."""

import base64
import hashlib
import struct
import zlib

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.answers import tokens_of
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.openai_fields import check_known, check_model, choice, integer, missing, string

KNOWN_FIELDS = (
    *("prompt", "model", "n", "size", "quality", "background", "moderation", "output_format", "output_compression"),
    *("stream", "partial_images", "user"),
)
SIZES = ("auto", "1024x1024", "1536x1024", "1024x1536")
QUALITIES = ("auto", "low", "medium", "high")
MAXIMUM_PICTURES = 10

_SQUARES = 8
"""Squares of the pattern in each direction."""


async def serve(call: ProviderCall) -> Response:
    """Answer with pictures as base64, the only way in which this model gives them.

    Raises:
        RefusedError: OpenAI would refuse the body.
    """
    check_model(call)
    body = call.body
    check_known(body, KNOWN_FIELDS)
    if body.get("prompt") is None:
        raise missing("prompt")
    prompt = string(body["prompt"], "prompt")
    size = choice(body.get("size") or "auto", "size", SIZES)
    choice(body.get("quality") or "auto", "quality", QUALITIES)
    output_format = choice(body.get("output_format") or "png", "output_format", ("png",))
    pictures = integer(body, "n", 1, MAXIMUM_PICTURES) or 1
    data = [{"b64_json": base64.b64encode(paint(f"{index} {prompt}", size)).decode()} for index in range(pictures)]
    sent = len(tokens_of(prompt))
    usage = {"input_tokens": sent, "output_tokens": 272 * pictures, "total_tokens": sent + 272 * pictures}
    answer = {"created": int(call.emulator.now()), "data": data, "output_format": output_format, "usage": usage}
    return JSONResponse(answer)


def paint(prompt: str, size: str) -> bytes:
    """Return a PNG of squares in two colours (PNG specification, section 5)."""
    width, height = (1024, 1024) if size == "auto" else map(int, size.split("x"))
    digest = hashlib.sha256(prompt.encode()).digest()
    colours = (digest[:3], digest[3:6])
    rows = []
    for row in range(_SQUARES):
        bits = digest[8 + row]
        line = b"".join(colours[bits >> column & 1] * (width // _SQUARES) for column in range(_SQUARES))
        rows.append((b"\x00" + line) * (height // _SQUARES))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(b"".join(rows))), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
