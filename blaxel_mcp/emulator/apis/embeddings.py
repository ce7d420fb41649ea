"""Embeddings: `/v1/embeddings` (OpenAI API reference). Texts that share words lie near each other."""

import base64
import hashlib
import json
import math
import re
import struct
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.openai_fields import (
    check_known,
    check_model,
    choice,
    integer,
    missing,
    string,
    wrong_type,
    wrong_value,
)
from blaxel_mcp.emulator.platform.errors import openai_error
from blaxel_mcp.emulator.platform.upstream import forward

KNOWN_FIELDS = ("input", "model", "dimensions", "encoding_format", "user")
MAXIMUM_DIMENSIONS = 1536
MAXIMUM_INPUTS = 2048


async def serve(call: ProviderCall) -> Response:
    """Answer a request for embeddings.

    Raises:
        RefusedError: OpenAI would refuse the body, or the upstream server does not answer.
    """
    check_model(call)
    if "embeddings" not in call.record.apis:
        raise openai_error(403, "You are not allowed to generate embeddings from this model.")
    texts, dimensions, encoding = _parse(call.body)
    if call.emulator.upstream is not None:
        body = json.dumps({"model": call.model_id} | call.body).encode()
        return await forward(call.emulator.upstream, call.path, body)
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(embed(text, dimensions), encoding)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": call.model_id, "usage": usage})


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 to which each word adds in a direction of its own."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        vector[(digest >> 1) % dimensions] += 1.0 if digest & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        return [1.0] + [0.0] * (dimensions - 1)
    return [value / length for value in vector]


def _parse(body: dict[str, Any]) -> tuple[list[str], int, str]:
    check_known(body, KNOWN_FIELDS)
    dimensions = integer(body, "dimensions", 1, MAXIMUM_DIMENSIONS) or MAXIMUM_DIMENSIONS
    encoding = body.get("encoding_format")
    if encoding is not None:
        choice(encoding, "encoding_format", ("float", "base64"))
    return _texts(body), dimensions, encoding or "float"


def _texts(body: dict[str, Any]) -> list[str]:
    value = body.get("input")
    if value is None:
        raise missing("input")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise wrong_type("input", "a string or an array of strings")
    if not 1 <= len(texts) <= MAXIMUM_INPUTS:
        raise wrong_value("input", f"1 to {MAXIMUM_INPUTS} texts")
    if "" in texts:
        raise wrong_value("input", "texts that are not empty")
    return [string(text, "input") for text in texts]


def _encoded(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
