"""The input schema of a model's tool: its API's, shaped by the model's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.schema import ModelSettings


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """The schema of a model's tool.

    Attributes:
        listed: What `tools/list` shows: the fields that agents usually fill in.
        full: All fields that are described.
        validator: Validates the tool's arguments.
    """

    listed: JSONObject
    full: JSONObject
    validator: ArgumentValidator = field(repr=False)


def tool_schema(api: ModelAPI, model: ModelSettings) -> ToolSchema:
    """Return the schema of a model's tool.

    Raises:
        ConfigurationError: The model's `input_schema` is not a valid schema.
    """
    if model.input_schema is None and not model.locked and not model.defaults:
        return _unchanged_schema(api)
    advertised = dict(api.input_schema() if model.input_schema is None else model.input_schema)
    advertised.setdefault("properties", {})
    accepted = api.accepted_schema() if model.input_schema is None else model.input_schema
    owner = f"The input_schema of the model {model.name!r}"
    validator = ArgumentValidator(_without_settled(accepted, model), advertised=advertised, owner=owner)
    listed = api.listed_schema() if model.input_schema is None else advertised
    return ToolSchema(_without_settled(listed, model), _without_settled(advertised, model), validator)


@cache
def _unchanged_schema(api: ModelAPI) -> ToolSchema:
    """Return the schema that models of an API share: checking one is slow."""
    advertised = api.input_schema()
    owner = f"The schema of {api.name}"
    validator = ArgumentValidator(api.accepted_schema(), advertised=advertised, owner=owner, is_ours=True)
    return ToolSchema(api.listed_schema(), advertised, validator)


def _without_settled(schema: Mapping[str, Any], model: ModelSettings) -> JSONObject:
    """Return the schema without the fields that the settings lock; fields with a default are not required."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in model.locked}
    settled = model.locked.keys() | model.defaults.keys()
    required = [name for name in schema.get("required", ()) if name not in settled]
    shaped = {**schema, "properties": properties}
    shaped.pop("required", None)
    return {**shaped, "required": required} if required else shaped
