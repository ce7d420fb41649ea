"""A text classifier at the base endpoint: `{"inputs": "..."}` (Hugging Face docs, Text classification)."""

import math
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.platform.errors import provider_error


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


POSITIVE = _words(
    "amazing best brilliant delightful enjoy enjoyed excellent fantastic fine good great happy like liked love loved "
    "lovely nice perfect pleasant recommend superb thanks wonderful"
)
NEGATIVE = _words(
    "annoying awful bad boring broken disappointed disappointing hate hated horrible poor sad slow terrible unhappy "
    "useless waste worse worst wrong"
)
NEGATIONS = _words("not no never hardly isn't wasn't don't didn't doesn't")


async def serve(call: ProviderCall) -> Response:
    """Answer with the labels of a text, or of each text in a list, the likeliest first.

    Raises:
        RefusedError: `inputs` is not a text or a list of texts.
    """
    inputs = call.body.get("inputs")
    if isinstance(inputs, str):
        return JSONResponse(classify(inputs))
    if isinstance(inputs, list) and inputs and all(isinstance(text, str) for text in inputs):
        return JSONResponse([classify(text) for text in inputs])
    raise provider_error(call.record.type, 400, "The body needs an inputs key with a text or a list of texts.")


def classify(text: str) -> list[dict[str, Any]]:
    """Return the scores of both labels, which add up to 1."""
    positive = 1 / (1 + math.exp(-_sentiment(text)))
    scores = [
        {"label": "POSITIVE", "score": round(positive, 6)},
        {"label": "NEGATIVE", "score": round(1 - positive, 6)},
    ]
    return scores if _sentiment(text) >= 0 else scores[::-1]


def _sentiment(text: str) -> int:
    """Count words for and against; a negation right before a word turns it over."""
    words = re.findall(r"[a-z']+", text.lower())
    total = 0
    for before, word in zip(["", *words], words, strict=False):
        value = (word in POSITIVE) - (word in NEGATIVE)
        total += -value if before in NEGATIONS else value
    return max(-20, min(20, 2 * total))
