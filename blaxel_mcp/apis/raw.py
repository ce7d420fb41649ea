"""The base endpoint, with whatever body the model behind it reads.

`{"inputs": "..."}` is how the platform's own documentation calls it, and what Hugging Face
models read there.
"""

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


def _schema(inputs: JSONObject) -> JSONObject:
    return object_schema(
        {
            "inputs": {**inputs, "description": "What the model works on: a text, for most models."},
            "parameters": {**FREE_FORM, "description": "Options of the model, where it has any."},
        }
    )


class Raw(ModelAPI):
    """A body in, an answer of any kind out: a classifier's scores, a picture, a sound."""

    name = "raw"
    path = ""
    summary = "Call this model's base endpoint: `inputs` is what it works on; other fields pass through."
    accept = "application/json, */*;q=0.5"
    takes_model = False

    def input_schema(self) -> JSONObject:
        """`inputs` as text, which is what most models at the base endpoint read."""
        return _schema({"type": "string"})

    def accepted_schema(self) -> JSONObject:
        """`inputs` may be anything: question answering takes an object, batches an array."""
        return _schema({})
