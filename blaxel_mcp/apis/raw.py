"""A model's base endpoint, with any body.

Blaxel's documentation calls it with `{"inputs": "..."}`, which is also the format of Hugging
Face models. Their models for speech and images also take a file as the whole body.
"""

from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.base import FREE_FORM, Encoded, ModelAPI
from blaxel_mcp.apis.content import object_schema
from blaxel_mcp.apis.input_files import FileData, FileURL
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


def _schema(inputs: JSONObject) -> JSONObject:
    return object_schema(
        {
            "inputs": {**inputs, "description": "The model's input: a text, for most models."},
            "parameters": {**FREE_FORM, "description": "Options of the model, if it has any."},
            "file": {"type": "string", "description": "A file as the whole body instead: its path or a data: URL."},
        }
    )


class Raw(ModelAPI):
    """Answers any body with anything: a classifier's scores, an image, audio."""

    name = "raw"
    path = ""
    summary = "Calls the model with `inputs`; other fields pass through."
    listed_fields = MappingProxyType(
        {"inputs": "", "parameters": "", "file": "A path or data: URL: the whole body instead."}
    )
    accept = "application/json, */*;q=0.5"
    takes_model = False
    file_arguments = ("file",)

    def input_schema(self) -> JSONObject:
        """Return the schema with `inputs` as text, which most models at the base endpoint expect."""
        return _schema({"type": "string"})

    def accepted_schema(self) -> JSONObject:
        """Return the same with `inputs` of any type: question answering takes an object, a batch an array."""
        return _schema({})

    def check(self, body: JSONObject) -> None:
        """Reject a `file` without content, or beside fields that a body of raw bytes has no place for."""
        match body:
            case {"file": FileURL()}:
                raise InvalidArgumentsError(
                    "`file` has to be a path or a data: URL: https URLs are not fetched.",
                    hint="Pass the path of a file in a folder that `files.allowed_dirs` lists, or a data: URL.",
                )
            case {"file": FileData(), **others} if others:
                raise InvalidArgumentsError(
                    f"`file` is the whole body, so {', '.join(f'`{name[:40]}`' for name in list(others)[:10])} cannot "
                    "be sent with it.",
                    hint="Omit either. Fields in the model's `defaults` and `locked` settings count too.",
                )

    def encode(self, body: Any) -> Encoded:
        """Return a file's content as it is, with its media type; encode anything else as JSON."""
        match body:
            case {"file": FileData(media_type=media_type, data=data)}:
                return Encoded(data, media_type)
        return super().encode(body)
