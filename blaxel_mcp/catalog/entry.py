"""One model with a tool of its own: the API it speaks, the path it is called at, and how its tool is shown."""

import re
from dataclasses import dataclass

from blaxel_mcp.apis import RAW, ModelAPI, api_at, api_named
from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.catalog.runtime_types import RUNTIME_TYPES, api_of, model_path
from blaxel_mcp.catalog.tool_schema import ToolSchema, tool_schema
from blaxel_mcp.client.endpoints import check_model_name
from blaxel_mcp.client.url_paths import split_path
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError, InvalidArgumentsError
from blaxel_mcp.core.field_names import fold
from blaxel_mcp.settings.models import ModelSettings

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
    return api_of(record) if record and _callable_path(record) is not None else RAW


def _path(model: ModelSettings, api: ModelAPI, record: ModelRecord | None) -> str | None:
    if model.path is not None:
        return _normalized(model.path)
    own = _callable_path(record) if record else None
    if own is not None and (model.api is None or api.answers_at(own)):
        return own
    path = api.endpoint_path(record.provider_model if record else None)
    return None if path is None else _normalized(path)


def _callable_path(record: ModelRecord) -> str | None:
    """Return the path of a record; None if the provider's id of the model makes it unfit for a URL."""
    path = model_path(record)
    try:
        return None if path is None else _normalized(path)
    except InvalidArgumentsError:
        return None


def _normalized(path: str) -> str:
    path, query = split_path(path)
    return f"{path}?{query}" if query else path
