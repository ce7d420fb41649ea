"""Reranking: `/v2/rerank` (Cohere API reference, Rerank v2). Documents rank by the query words that they contain."""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.body_schema import COUNT, TEXT, WORDS, closed, first_flaw
from blaxel_mcp.emulator.apis.completions import body_id
from blaxel_mcp.emulator.apis.refusals import cohere_error, cohere_refusal

_BODY = closed(
    "query",
    "documents",
    model=TEXT,
    query={**TEXT, "minLength": 1},
    documents={**WORDS, "minItems": 1, "maxItems": 1000},
    top_n=COUNT,
    max_tokens_per_doc=COUNT,
    priority=COUNT,
)


async def handle(call: ProviderCall) -> Response:
    """Answer with the positions of the documents, best first."""
    if flaw := first_flaw(_BODY, call.body):
        raise cohere_refusal(flaw)
    model = call.body.get("model", call.model_id)
    if model != call.model_id or "rerank" not in call.record.apis:
        raise cohere_error(404, f"model '{model}' not found")
    results = rank(call.body["query"], call.body["documents"])
    if "top_n" in call.body:
        results = results[: int(call.body["top_n"])]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return JSONResponse({"id": body_id("", call.body), "results": results, "meta": meta})


def rank(query: str, documents: list[str]) -> list[dict[str, Any]]:
    """Return the documents' positions with their scores: the share of the query's words in each, highest first."""
    query_words = _words_of(query)
    scores = [len(query_words & _words_of(document)) / max(1, len(query_words)) for document in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))
    return [{"index": index, "relevance_score": round(scores[index], 6)} for index in order]


def _words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
