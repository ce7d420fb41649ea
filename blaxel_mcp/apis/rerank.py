"""The rerank API: Cohere's `POST /v2/rerank`."""

from typing import ClassVar

from blaxel_mcp.apis.base import Fields, ModelAPI
from blaxel_mcp.apis.content import count, string, strings


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
