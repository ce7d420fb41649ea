"""The rerank API: Cohere's `POST /v2/rerank`."""

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


class Rerank(ModelAPI):
    """A query and documents in, the documents' places and scores out."""

    name = "rerank"
    path = "/v2/rerank"
    summary = "Sort `documents` by how well they answer `query`: gives the place of each and its score."

    def input_schema(self) -> JSONObject:
        """The fields that matter to an agent; every other field of the API passes through."""
        return object_schema(
            {
                "query": {"type": "string", "description": "What is looked for."},
                "documents": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "The texts to sort; results name them by their place here, from 0.",
                },
                "top_n": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many of the best; all if left out.",
                },
            },
            "query",
            "documents",
        )
