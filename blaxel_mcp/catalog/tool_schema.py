"""The input schema of a model's tool: its API's, shaped by the model's settings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.retrieval import Embeddings
from blaxel_mcp.core.json_pointer import MAX_POINTER_CHARS
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.models import ModelSettings

SELECT: JSONObject = {"type": "array", "items": {"type": "string"}}
_MAX_PARTS = 100
ACCEPTED_SELECT: JSONObject = {
    "type": ["string", "array"],
    "maxLength": MAX_POINTER_CHARS,
    "items": {"type": "string", "maxLength": MAX_POINTER_CHARS},
    "maxItems": _MAX_PARTS,
}
"""The argument `select` as it is listed, without a union, and as it is accepted: a single pointer is a text too."""

_SELECT_HINT = "JSON Pointers of the parts of the answer to return: one as it is, several as an object."
_RETURN = {"type": "string", "enum": ["vectors", "similarity", "file"]}
_RETURN_HINT = (
    "vectors: all numbers, as far as they fit. similarity: the cosine similarity of the texts to each other. "
    "file: a file with the vectors. Default: the answer, in which long vectors are summarized."
)


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """The schema of a model's tool.

    Attributes:
        listed: What `tools/list` shows: the fields that agents usually fill in.
        full: All fields that are described.
        validator: Validates the tool's arguments.
        result_arguments: The names of the arguments that shape the result: they are not sent.
    """

    listed: JSONObject
    full: JSONObject
    validator: ArgumentValidator = field(repr=False, compare=False)
    result_arguments: frozenset[str] = frozenset()


def tool_schema(api: ModelAPI, model: ModelSettings) -> ToolSchema:
    """Return the schema of a model's tool.

    Raises:
        ConfigurationError: The model's `input_schema` is not a valid schema.
    """
    if model.input_schema is None and not model.locked and not model.defaults:
        return _unchanged_schema(api)
    own, owner = model.input_schema, f"The input_schema of the model {model.name!r}"
    if own is not None:
        # Its parts are read below.
        ArgumentValidator(own, owner=owner)
    forms = _forms(api) if own is None else (own, own, own)
    listed, full, accepted = (_without_settled(form, model) for form in forms)
    taken = full["properties"].keys() | model.locked.keys() | model.defaults.keys()
    schema = _with_result_arguments(api, (listed, full, accepted), taken, owner)
    # A schema of one's own is listed exactly as it is.
    return schema if own is None else replace(schema, listed=listed)


@cache
def _unchanged_schema(api: ModelAPI) -> ToolSchema:
    """Return the schema that models of an API share: checking one is slow."""
    return _with_result_arguments(api, _forms(api), frozenset(), f"The schema of {api.name}")


def _forms(api: ModelAPI) -> tuple[JSONObject, JSONObject, JSONObject]:
    return api.listed_schema(), api.input_schema(), api.accepted_schema()


def _with_result_arguments(
    api: ModelAPI, forms: tuple[JSONObject, JSONObject, JSONObject], taken: Collection[str], owner: str
) -> ToolSchema:
    """Add the arguments that shape the result, unless the request body has fields of their names, `taken`.

    The forms are the schema as it is listed, in full, and as arguments are validated.

    Raises:
        ConfigurationError: A schema is not valid.
    """
    added = {"select": (SELECT, {**SELECT, "description": _SELECT_HINT}, ACCEPTED_SELECT)}
    if api.name == Embeddings.name:
        added["return"] = (_RETURN, {**_RETURN, "description": _RETURN_HINT}, _RETURN)
    own = {name: schemas for name, schemas in added.items() if name not in taken}
    listed, full, accepted = (
        {**form, "properties": form.get("properties", {}) | {name: schemas[index] for name, schemas in own.items()}}
        for index, form in enumerate(forms)
    )
    # The listed form has the choices of an argument, so that an empty string is none of them.
    shown = {**full, "properties": {**full["properties"], **listed["properties"]}}
    validator = ArgumentValidator(accepted, advertised=shown, owner=owner)
    return ToolSchema(listed, full, validator, frozenset(own))


def _without_settled(schema: Mapping[str, Any], model: ModelSettings) -> JSONObject:
    """Return the schema without the fields that the settings lock; fields with a default are not required."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in model.locked}
    settled = model.locked.keys() | model.defaults.keys()
    required = [name for name in schema.get("required", ()) if name not in settled]
    shaped = {**schema, "properties": properties}
    shaped.pop("required", None)
    return {**shaped, "required": required} if required else shaped
