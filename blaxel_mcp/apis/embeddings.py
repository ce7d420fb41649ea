"""The embeddings API: OpenAI's `POST /v1/embeddings`."""

from blaxel_mcp.apis.base import ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


def _schema(text: JSONObject) -> JSONObject:
    return object_schema(
        {
            "input": {**text, "description": "The text to embed; an array of texts gives a vector for each."},
            "dimensions": {"type": "integer", "minimum": 1, "description": "Length of the vectors, where supported."},
        },
        "input",
    )


class Embeddings(ModelAPI):
    """Texts in, vectors out."""

    name = "embeddings"
    path = "/v1/embeddings"
    summary = "Embed texts: give `input`, one text or an array of texts, and get a vector for each."

    def input_schema(self) -> JSONObject:
        """An array of texts: the form that schema dialects without unions can say."""
        return _schema({"type": "array", "items": {"type": "string"}})

    def accepted_schema(self) -> JSONObject:
        """The API itself takes one text, texts, tokens, or arrays of tokens."""
        return _schema({"type": ["string", "array"]})
