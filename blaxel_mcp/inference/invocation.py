"""A caller's request to a model, independent of the tool or command."""

from dataclasses import dataclass
from typing import Any, Self

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.schema import HttpMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call as its caller describes it.

    Attributes:
        path: The sub-endpoint, query included; empty for the base endpoint, None for the model's own.
        own_path: The sub-endpoint that the model's entry names; None derives it from the model's type.
        api: The API that `arguments` are written for; None detects it from the path.
        arguments: The arguments of a model's own tool, from which `api` makes the body.
        body: The request body, when there are no arguments; None sends no body.
        query: More query parameters, URL-encoded.
        settings: The model's `[[models]]` entry, if it is configured.
        timeout_seconds: The deadline of this call; None takes the settings'.
    """

    model: str
    path: str | None = None
    own_path: str | None = None
    api: ModelAPI | None = None
    arguments: JSONObject | None = None
    body: Any = None
    method: HttpMethod = "POST"
    query: str = ""
    settings: ModelSettings | None = None
    timeout_seconds: float | None = None

    @classmethod
    def of_entry(cls, entry: CatalogEntry, arguments: JSONObject, *, timeout_seconds: float | None = None) -> Self:
        """Return the invocation that a call of the model's own tool makes, without the arguments that are not sent."""
        own = entry.schema.result_arguments
        if not own.isdisjoint(arguments):
            arguments = {name: value for name, value in arguments.items() if name not in own}
        return cls(
            model=entry.settings.name,
            own_path=entry.path,
            api=entry.api,
            arguments=arguments,
            settings=entry.settings,
            timeout_seconds=timeout_seconds,
        )
