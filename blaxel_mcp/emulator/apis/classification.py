"""A sentiment classifier at the base endpoint: `{"inputs": "..."}` (Hugging Face docs, Text classification)."""

import math
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.platform.errors import provider_error

_POSITIVE = frozenset(
    [
        *("amazing", "best", "brilliant", "delightful", "enjoy", "enjoyed", "excellent", "fantastic", "fine", "good"),
        *("great", "happy", "like", "liked", "love", "loved", "lovely", "nice", "perfect", "pleasant", "recommend"),
        *("superb", "thanks", "wonderful"),
    ]
)
_NEGATIVE = frozenset(
    [
        *("annoying", "awful", "bad", "boring", "broken", "disappointed", "disappointing", "hate", "hated", "horrible"),
        *("poor", "sad", "slow", "terrible", "unhappy", "useless", "waste", "worse", "worst", "wrong"),
    ]
)
_NEGATIONS = frozenset(["not", "no", "never", "hardly", "isn't", "wasn't", "don't", "didn't", "doesn't"])


async def handle(call: ProviderCall) -> Response:
    """Answer with the labels of a text, or of each text in a list, the most likely first."""
    inputs = call.body.get("inputs")
    if isinstance(inputs, str):
        return JSONResponse(label_scores(inputs))
    if isinstance(inputs, list) and inputs and all(isinstance(text, str) for text in inputs):
        return JSONResponse([label_scores(text) for text in inputs])
    raise provider_error(call.record.type, 400, "The field `inputs` must be a text or a list of texts.")


def label_scores(text: str) -> list[dict[str, Any]]:
    """Return the scores of both labels, the higher first; they add up to 1."""
    words = re.findall(r"[a-z']+", text.lower())
    total = 0
    for previous, word in zip(["", *words], words, strict=False):
        value = (word in _POSITIVE) - (word in _NEGATIVE)
        total += -value if previous in _NEGATIONS else value
    sentiment = max(-20, min(20, 2 * total))
    positive = 1 / (1 + math.exp(-sentiment))
    scores = [
        {"label": "POSITIVE", "score": round(positive, 6)},
        {"label": "NEGATIVE", "score": round(1 - positive, 6)},
    ]
    return scores if sentiment >= 0 else scores[::-1]
