"""One model with a tool of its own: which API it speaks, where it is called, what its tool looks like."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from blaxel_mcp.apis import APIS, RAW, ModelAPI, api_at, api_named
from blaxel_mcp.apis.arguments import ArgumentValidator
from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.catalog.runtime_types import api_name, model_path
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.schema import ModelSettings

# What a description takes from a record: one word, so that no sentence of someone else's stands in it.
_WORD = re.compile(r"[A-Za-z0-9_./:@+~-]{1,100}")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model with a tool of its own.

    Attributes:
        tool: The tool's name.
        settings: The model's `[[models]]` entry; one that says nothing but the name for a discovered model.
        api: Which API its endpoint speaks.
        path: The sub-endpoint that its tool calls, empty for the base endpoint; None where it holds the
            provider's id of the model, which is not known yet.
        input_schema: What the client is shown.
        reader: Reads the tool's arguments.
        record: What the control plane said of it when it listed the models; None if it did not.
    """

    tool: str
    settings: ModelSettings
    api: ModelAPI
    path: str | None
    input_schema: JSONObject
    reader: ArgumentValidator = field(repr=False)
    record: ModelRecord | None = None

    @property
    def name(self) -> str:
        """The model API's name in its workspace."""
        return self.settings.name

    @property
    def names_a_path(self) -> bool:
        """Whether it is known where the model is called, be it by the settings or by its record."""
        return self.settings.path is not None or self.settings.api is not None or self.record is not None

    @property
    def title(self) -> str:
        """What a client shows a person."""
        return self.settings.title or (self.record and self.record.display_name) or self.name

    @property
    def description(self) -> str:
        """What an agent chooses by: the essentials first, since clients cut long descriptions."""
        return self.settings.description or " ".join(
            [f"{self._subject()}.", self._summary(), *(_warnings(self.record) if self.record else ())]
        )

    def _subject(self) -> str:
        record = self.record
        known = [text for text in (record.runtime_type, record.provider_model) if _is_word(text)] if record else []
        return f"{' '.join(map(str, known))} (Blaxel model {self.name})" if known else f"Blaxel model {self.name}"

    def _summary(self) -> str:
        if self.api is RAW and self.path:
            return f"Call this model at {self.path}: the arguments are the body of the request."
        return self.api.summary


def make_entry(model: ModelSettings, tool: str, record: ModelRecord | None) -> CatalogEntry:
    """Make the entry of a model.

    Args:
        model: What the settings say; what they leave open is taken from the record.
        tool: The tool's name.
        record: What the control plane said of the model; None if it did not.

    Raises:
        ConfigurationError: the settings are wrong; a record never is.
    """
    api = _api(model, record)
    input_schema, reader = _shape(api, model)
    try:
        path = _path(model, api, record)
        check_model_name(model.name)
    except BlaxelError as error:
        raise ConfigurationError(
            f"In the entry of the model {model.name!r}: {error.message}", hint=error.hint
        ) from None
    return CatalogEntry(
        tool=tool,
        settings=model,
        api=api,
        path=path,
        input_schema=input_schema,
        reader=reader,
        record=record,
    )


def _api(model: ModelSettings, record: ModelRecord | None) -> ModelAPI:
    if model.api is None:
        if model.path is not None:
            return api_at(model.path) or RAW
        return (record and _callable_path(record) is not None and api_named(api_name(record))) or RAW
    api = api_named(model.api)
    if api is None:
        known = [candidate.name for candidate in APIS]
        guess = closest(model.api, known)
        raise ConfigurationError(
            f"The model {model.name!r} has api = {model.api!r}, which is not one of {', '.join(known)}.",
            hint=f"Did you mean {guess!r}?" if guess else "Use `raw` with a `path` for any other API.",
        )
    return api


def _path(model: ModelSettings, api: ModelAPI, record: ModelRecord | None) -> str | None:
    if model.path is not None:
        return _joined(model.path)
    own = _callable_path(record) if record else None
    if own is not None and (model.api is None or api.answers_at(own)):
        return own
    path = api.endpoint_path(record.provider_model if record else None)
    return None if path is None else _joined(path)


def _callable_path(record: ModelRecord) -> str | None:
    """Return the path that a record leads to, if it can stand in a URL: the provider's id of the model is in some."""
    path = model_path(record)
    try:
        return None if path is None else _joined(path)
    except InvalidArgumentsError:
        return None


def _joined(path: str) -> str:
    path, query = split_path(path)
    return f"{path}?{query}" if query else path


def _shape(api: ModelAPI, model: ModelSettings) -> tuple[JSONObject, ArgumentValidator]:
    """Return the schema that a client is shown and what reads the arguments."""
    if not (model.input_schema is not None or model.locked or model.defaults):
        return _plain_shape(api)
    own = model.input_schema
    advertised = api.input_schema() if own is None else dict(own)
    advertised.setdefault("properties", {})
    accepted = api.accepted_schema() if own is None else own
    owner = f"The input_schema of the model {model.name!r}"
    reader = ArgumentValidator(_settled(accepted, model), advertised=advertised, owner=owner)
    return _settled(advertised, model), reader


@cache
def _plain_shape(api: ModelAPI) -> tuple[JSONObject, ArgumentValidator]:
    """Return the shape that all models of an API share unless the settings change it: checking a schema is slow."""
    advertised = api.input_schema()
    owner = f"The schema of {api.name}"
    return advertised, ArgumentValidator(api.accepted_schema(), advertised=advertised, owner=owner)


def _settled(schema: Mapping[str, Any], model: ModelSettings) -> JSONObject:
    """The schema less what the settings already decide: locked fields go, defaults are not required."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in model.locked}
    settled = {**schema, "properties": properties}
    decided = model.locked.keys() | model.defaults.keys()
    required = [name for name in schema.get("required", ()) if name not in decided]
    settled.pop("required", None)
    return {**settled, "required": required} if required else settled


def _is_word(text: str | None) -> bool:
    return text is not None and _WORD.fullmatch(text) is not None


def _warnings(record: ModelRecord) -> Iterator[str]:
    """Yield what may keep the model from answering; a record may be old, so it is said and not acted upon."""
    if record.sandbox:
        yield "The trial model of a new workspace."
    if not record.enabled:
        yield "It is disabled in Blaxel."
    if record.status != DEPLOYED and _is_word(record.status):
        yield f"Its status is {record.status}."
