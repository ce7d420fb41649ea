"""A model's base endpoint, with any body.

Blaxel's documentation calls it with `{"inputs": "..."}`, which is also the format of Hugging
Face models.
"""

from blaxel_mcp.apis.base import FREE_FORM, ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.core.json_text import JSONObject


def _schema(inputs: JSONObject) -> JSONObject:
    return object_schema(
        {
            "inputs": {**inputs, "description": "The model's input: a text, for most models."},
            "parameters": {**FREE_FORM, "description": "Options of the model, if it has any."},
        }
    )


class Raw(ModelAPI):
    """Answers any body with anything: a classifier's scores, an image, audio."""

    name = "raw"
    path = ""
    summary = "Call this model's base endpoint: give `inputs`; other fields pass through."
    accept = "application/json, */*;q=0.5"
    takes_model = False

    def input_schema(self) -> JSONObject:
        """Return the schema with `inputs` as text, which most models at the base endpoint expect."""
        return _schema({"type": "string"})

    def accepted_schema(self) -> JSONObject:
        """Return the same with `inputs` of any type: question answering takes an object, a batch an array."""
        return _schema({})
