"""The embeddings API: OpenAI's `POST /v1/embeddings`."""

from types import MappingProxyType

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


def _schema(text: JSONObject) -> JSONObject:
    return object_schema(
        {
            "input": {**text, "description": "Texts to embed, one vector each; a single text also works."},
            "dimensions": {"type": "integer", "minimum": 1, "description": "Length of the vectors, where supported."},
        },
        "input",
    )


class Embeddings(ModelAPI):
    """Turns texts into vectors."""

    name = "embeddings"
    path = "/v1/embeddings"
    summary = "Embeds texts: a vector for each."
    listed_fields = MappingProxyType({"input": "", "dimensions": ""})

    def input_schema(self) -> JSONObject:
        """Return the schema with `input` as an array of texts, which needs no union."""
        return _schema({"type": "array", "items": {"type": "string"}})

    def accepted_schema(self) -> JSONObject:
        """Return the same for all that the API accepts: a text, texts, tokens, or arrays of tokens."""
        return _schema({"type": ["string", "array"]})
