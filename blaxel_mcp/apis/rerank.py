"""The rerank API: Cohere's `POST /v2/rerank`."""

from types import MappingProxyType

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


class Rerank(ModelAPI):
    """Ranks documents by their relevance to a query."""

    name = "rerank"
    path = "/v2/rerank"
    summary = "Ranks `documents` by relevance to `query`: the index and score of each."
    listed_fields = MappingProxyType({"query": "", "documents": "", "top_n": ""})

    def input_schema(self) -> JSONObject:
        """Return the fields that matter to an agent; other fields of the API pass through."""
        return object_schema(
            {
                "query": {"type": "string", "description": "The search query."},
                "documents": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "The texts to rank; results refer to them by index, from 0.",
                },
                "top_n": {"type": "integer", "minimum": 1, "description": "Number of results (default: all)."},
            },
            "query",
            "documents",
        )
