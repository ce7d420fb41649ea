"""The APIs of a search: embeddings, with the similarity of their vectors, and rerank."""

import base64
import math
from array import array
from collections.abc import Sequence
from operator import mul
from sys import byteorder
from typing import Any, ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import count, string, strings

MAX_COMPARED = 100
"""Maximum number of vectors that are compared with each other: the work grows with its square."""

_DIGITS = 4


class Embeddings(ModelAPI):
    """Turns texts into vectors."""

    name = "embeddings"
    path = "/v1/embeddings"
    summary = "Embeds texts: a vector for each."
    fields: ClassVar[Fields] = {
        "input": strings("Texts to embed, one vector each; a single text also works."),
        "dimensions": count("Length of the vectors, where supported."),
    }
    # A text, texts, tokens, or arrays of tokens.
    accepted_fields: ClassVar[Fields] = {
        "input": {
            "type": ["string", "array"],
            "items": {"type": ["string", "integer", "array"], "items": {"type": "integer"}},
        }
    }
    required = ("input",)


def decode_floats(encoded: str) -> Sequence[float]:
    """Decode little-endian float32 numbers from base64, as `encoding_format: "base64"` returns; empty for others."""
    try:
        numbers = array("f", base64.b64decode(encoded, validate=True))
    except ValueError:
        return []
    if byteorder == "big":
        numbers.byteswap()
    return numbers


def read_vectors(answer: Any) -> list[list[float]]:
    """Return the vectors of an answer, in the order of the texts; empty if it has none or they cannot be compared."""
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return []
    rows = sorted(rows, key=lambda row: row["index"] if isinstance(row.get("index"), int) else 0)
    encoded = [row.get("embedding") for row in rows]
    vectors = [list(decode_floats(vector)) if isinstance(vector, str) else vector for vector in encoded]
    return vectors if all(map(_is_vector, vectors)) and len(set(map(len, vectors))) == 1 else []


def similarities(vectors: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the cosine similarity of each pair of vectors, from -1 to 1; a row per vector, 0 for a zero vector."""
    norms = [math.hypot(*vector) for vector in vectors]
    units = [[number / (norm or 1.0) for number in vector] for vector, norm in zip(vectors, norms, strict=True)]
    return [[round(sum(map(mul, one, other)), _DIGITS) for other in units] for one in units]


def _is_vector(value: Any) -> bool:
    """Return whether a value is a vector with a length that a float can hold."""
    if not isinstance(value, list) or not value:
        return False
    try:
        return all(type(number) in (int, float) for number in value) and math.isfinite(math.hypot(*value))
    except OverflowError:
        return False


class Rerank(ModelAPI):
    """Ranks documents by their relevance to a query."""

    name = "rerank"
    path = "/v2/rerank"
    summary = "Ranks `documents` by relevance to `query`: the index and score of each."
    fields: ClassVar[Fields] = {
        "query": string("The search query."),
        "documents": strings("The texts to rank; results refer to them by index, from 0."),
        "top_n": count("Number of results (default: all)."),
    }
    required = ("query", "documents")
