"""A model's base endpoint, with any body.

Blaxel's documentation calls it with `{"inputs": "..."}`, which is also the format of Hugging
Face models. Their models for speech and images also take a file as the whole body.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from blaxel_mcp.apis.base import Encoded, Fields, FileData, FileURL, ModelAPI
from blaxel_mcp.apis.content import free_form, string
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


class Raw(ModelAPI):
    """Answers any body with anything: a classifier's scores, an image, audio."""

    name = "raw"
    path = ""
    summary = "Calls the model with `inputs`; other fields pass through."
    accept = "application/json, */*;q=0.5"
    takes_model = False
    file_arguments = ("file",)
    fields: ClassVar[Fields] = {
        "inputs": string("The model's input: a text, for most models."),
        "parameters": free_form("Options of the model, if it has any."),
        "file": string("A file as the whole body instead: its path or a data: URL."),
    }
    # Question answering takes an object, a batch an array.
    accepted_fields: ClassVar[Fields] = {"inputs": {}}
    listed_hints: ClassVar[Mapping[str, str]] = {"file": "A path or data: URL: the whole body instead."}

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
