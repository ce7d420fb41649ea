"""Documents sorted by a query: `/v2/rerank` (Cohere API reference, Rerank v2). Shared words count."""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.apis.body_schema import COUNT, TEXT, WORDS, Schema, first_flaw
from blaxel_mcp.emulator.apis.refusals import cohere_refusal
from blaxel_mcp.emulator.apis.replies import identifier
from blaxel_mcp.emulator.platform.provider_errors import cohere_error

_BODY: Schema = {
    "type": "object",
    "properties": {
        "model": TEXT,
        "query": {**TEXT, "minLength": 1},
        "documents": {**WORDS, "minItems": 1, "maxItems": 1000},
        "top_n": COUNT,
        "max_tokens_per_doc": COUNT,
        "priority": COUNT,
    },
    "required": ["query", "documents"],
    "additionalProperties": False,
}


async def serve(call: ProviderCall) -> Response:
    """Answer with the places of the documents, the best first.

    Raises:
        RefusedError: Cohere would refuse the body.
    """
    flaw = first_flaw(_BODY, call.body)
    if flaw is not None:
        raise cohere_refusal(flaw)
    if call.body.get("model", call.model_id) != call.model_id or "rerank" not in call.record.apis:
        raise cohere_error(404, f"model '{call.body.get('model', call.model_id)}' not found")
    results = rank(call.body["query"], call.body["documents"])
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return JSONResponse({"id": identifier("", call.body), "results": results[: call.body.get("top_n")], "meta": meta})


def rank(query: str, documents: list[str]) -> list[dict[str, Any]]:
    """Return the documents by the share of the query's words that they hold."""
    wanted = _words(query)
    scores = [len(wanted & _words(document)) / max(1, len(wanted)) for document in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))
    return [{"index": index, "relevance_score": round(scores[index], 6)} for index in order]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
