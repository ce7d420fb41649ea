"""One model with a tool of its own: the API it speaks, the path it is called at, its schema and how it is shown."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from blaxel_mcp.apis import RAW, ModelAPI, api_at, api_named
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.apis.retrieval import Embeddings
from blaxel_mcp.catalog.records import DEPLOYED, RUNTIME_TYPES, ModelRecord, api_of, model_path
from blaxel_mcp.client.endpoints import check_model_name, split_path
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.field_names import fold
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
    """Return the schema of a model's tool; raises ConfigurationError if its `input_schema` is not valid."""
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


# A description quotes only single words of a record, so that no sentence of a third party gets into it.
_WORD = re.compile(r"[A-Za-z0-9_./:@+~-]{1,80}")

_TITLE = re.compile(r"(?=.{1,40}$)[\w.:/()-]+(?: [\w.:/()-]+){0,4}")
"""A name of up to five words for people. A sentence would be read as this server's own, even in quotes."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model with a tool of its own.

    Attributes:
        tool: The tool's name.
        settings: The model's `[[models]]` entry; for a discovered model, one with only the name.
        api: The API that its endpoint speaks.
        path: The sub-endpoint that its tool calls, empty for the base endpoint. None if the path contains
            the provider's id of the model, which is not known yet.
        schema: The schema of its tool's arguments.
        record: The record from the list of models; None if the model was not listed.
    """

    tool: str
    settings: ModelSettings
    api: ModelAPI
    path: str | None
    schema: ToolSchema
    record: ModelRecord | None = None

    @property
    def name(self) -> str:
        """The model API's name in its workspace."""
        return self.settings.name

    @property
    def path_is_known(self) -> bool:
        """Whether the settings or the record say where the model is called."""
        return self.settings.path is not None or self.settings.api is not None or self.record is not None

    @property
    def title(self) -> str:
        """The name that clients show to people."""
        display_name = (self.record and self.record.display_name) or ""
        title = self.name
        if _TITLE.fullmatch(display_name):
            # A name that adds words is quoted, because the words are not ours.
            title = display_name if fold(display_name) == fold(title) else f'"{display_name}" ({title})'
        # Another workspace may have a model of the same name.
        return self.settings.title or (f"{title} ({self.settings.workspace})" if self.settings.workspace else title)

    @property
    def description(self) -> str:
        """The description that agents choose by: the essentials first, since clients truncate long ones."""
        if self.settings.description:
            return self.settings.description
        record = self.record
        texts = (record.runtime_type, record.provider_model) if record else ()
        words = [t if t in RUNTIME_TYPES else f'"{t}"' for t in texts if t is not None and _WORD.fullmatch(t)]
        where = f" in workspace {self.settings.workspace}" if self.settings.workspace else ""
        name = f"Blaxel model {self.name}{where}"
        sentences = [f"{' '.join(words)} ({name})." if words else f"{name}."]
        if self.api is RAW and self.path:
            sentences.append(f"Call this model at {self.path}: the arguments are the body of the request.")
        else:
            sentences.append(self.api.summary)
        # The record may be old, so its state is shown but never a reason to reject a call.
        if record and record.sandbox:
            sentences.append("The trial model of a new workspace.")
        if record and not record.enabled:
            sentences.append("It is disabled in Blaxel.")
        if record and record.status != DEPLOYED and record.status == record.shown_status:
            sentences.append(f"Its status is {record.shown_status}.")
        return " ".join(sentences)


def make_entry(model: ModelSettings, tool: str, record: ModelRecord | None) -> CatalogEntry:
    """Create the entry of a model; keys that its settings omit come from its record, if there is one.

    Raises:
        ConfigurationError: The settings are wrong. A record never causes an error.
    """
    api = _api(model, record)
    schema = tool_schema(api, model)
    try:
        path = _path(model, api, record)
        check_model_name(model.name)
    except BlaxelError as error:
        raise ConfigurationError(
            f"In the entry of the model {model.name!r}: {error.message}", hint=error.hint
        ) from None
    return CatalogEntry(tool=tool, settings=model, api=api, path=path, schema=schema, record=record)


def _api(model: ModelSettings, record: ModelRecord | None) -> ModelAPI:
    if model.api is not None:
        # The settings allow only the names of the APIs that there are.
        return api_named(model.api) or RAW
    if model.path is not None:
        return api_at(model.path) or RAW
    return api_of(record) if record and _fitted(model_path(record)) is not None else RAW


def _path(model: ModelSettings, api: ModelAPI, record: ModelRecord | None) -> str | None:
    if model.path is not None:
        return _normalized(model.path)
    own = _fitted(model_path(record)) if record else None
    if own is not None and (model.api is None or api.answers_at(own)):
        return own
    return _fitted(api.endpoint_path(record.provider_model if record else None))


def _fitted(path: str | None) -> str | None:
    """Return a path that depends on a record; None if the provider's id of the model makes it unfit for a URL."""
    try:
        return None if path is None else _normalized(path)
    except InvalidArgumentsError:
        return None


def _normalized(path: str) -> str:
    path, query = split_path(path)
    return f"{path}?{query}" if query else path
