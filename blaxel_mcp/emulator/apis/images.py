"""Images: `/v1/images/generations` (OpenAI API reference, Images). A pattern in colors derived from the prompt."""

import base64
import hashlib
import struct
import zlib

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, check_model, valid_body
from blaxel_mcp.emulator.apis.body_schema import ANYTHING, TEXT, closed, integer, one_of
from blaxel_mcp.emulator.apis.completions import tokens_of

_DEFAULTS = {"size": "auto", "quality": "auto", "output_format": "png"}
_BODY = closed(
    "prompt",
    prompt=TEXT,
    model=ANYTHING,
    n=integer(1, 10),
    size=one_of("auto", "1024x1024", "1536x1024", "1024x1536"),
    quality=one_of("auto", "low", "medium", "high"),
    output_format=one_of("png"),
    background=ANYTHING,
    moderation=ANYTHING,
    output_compression=ANYTHING,
    stream=ANYTHING,
    partial_images=ANYTHING,
    user=ANYTHING,
)

_SQUARES = 8
"""Squares of the pattern in each direction."""


async def handle(call: ProviderCall) -> Response:
    """Answer with images in base64, the only form in which this model returns them."""
    check_model(call)
    # An empty value stands for the default, too.
    defaults = {name: value for name, value in _DEFAULTS.items() if not call.body.get(name)}
    body = valid_body(_BODY, call.body | defaults)
    count = body.get("n", 1)
    data = [
        {"b64_json": base64.b64encode(paint(f"{index} {body['prompt']}", body["size"])).decode()}
        for index in range(count)
    ]
    sent, received = len(tokens_of(body["prompt"])), 272 * count
    usage = {"input_tokens": sent, "output_tokens": received, "total_tokens": sent + received}
    created = int(call.emulator.now())
    return JSONResponse({"created": created, "data": data, "output_format": body["output_format"], "usage": usage})


def paint(prompt: str, size: str) -> bytes:
    """Return a PNG of squares in two colors, which the prompt decides; `size` is as in the request."""
    width, height = (1024, 1024) if size == "auto" else map(int, size.split("x"))
    digest = hashlib.sha256(prompt.encode()).digest()
    colors = (digest[:3], digest[3:6])
    rows = []
    for row in range(_SQUARES):
        bits = digest[8 + row]
        line = b"".join(colors[bits >> column & 1] * (width // _SQUARES) for column in range(_SQUARES))
        rows.append((b"\x00" + line) * (height // _SQUARES))
    return png(width, height, b"".join(rows))


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG of 8-bit RGB pixels (PNG specification, section 5); each row begins with a zero byte (no filter)."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content
