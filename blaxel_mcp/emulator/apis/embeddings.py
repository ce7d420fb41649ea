"""Embeddings: `/v1/embeddings` (OpenAI API reference, Embeddings). Texts that share words get similar vectors."""

import base64
import hashlib
import json
import math
import re
import struct

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall, check_model, valid_body
from blaxel_mcp.emulator.apis.body_schema import ANYTHING, array, closed, integer, one_of
from blaxel_mcp.emulator.platform.errors import openai_error

MAX_DIMENSIONS = 1536

_TEXT = {"type": "string", "minLength": 1}
_BODY = closed(
    "input",
    input={
        "type": ["string", "array"],
        "anyOf": [_TEXT, array(_TEXT, at_least=1, at_most=2048)],
        "description": "a string that is not empty or an array of 1 to 2048 of them",
    },
    model=ANYTHING,
    dimensions=integer(1, MAX_DIMENSIONS),
    encoding_format=one_of("float", "base64"),
    user=ANYTHING,
)


async def handle(call: ProviderCall) -> Response:
    """Answer a request for embeddings."""
    check_model(call)
    if "embeddings" not in call.record.apis:
        raise openai_error(403, "You are not allowed to generate embeddings from this model.")
    body = valid_body(_BODY, call.body)
    if call.emulator.upstream is not None:
        content = json.dumps({"model": call.model_id} | call.body).encode()
        return await call.emulator.upstream.forward(call.path, content)
    texts: list[str] = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = []
    for index, text in enumerate(texts):
        vector: list[float] | str = embed(text, body.get("dimensions", MAX_DIMENSIONS))
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": call.model_id, "usage": usage})


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 to which each word adds its own direction."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        vector[(digest >> 1) % dimensions] += 1.0 if digest & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        return [1.0] + [0.0] * (dimensions - 1)
    return [value / length for value in vector]
