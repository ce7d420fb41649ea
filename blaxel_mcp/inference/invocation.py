"""What a caller asks of a model, whichever tool or command it used."""

from dataclasses import dataclass
from typing import Any, Literal

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.schema import ModelSettings

Method = Literal["POST", "GET", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a caller asks for.

    Attributes:
        model: The model API's name.
        path: The sub-endpoint, a query included; empty for the base endpoint, None for the model's own.
        own_path: The sub-endpoint that the model's entry names; None leaves it to the model's type.
        api: The API that the body is written for; None for whichever answers at the path.
        arguments: The arguments of a model's own tool, for `api` to make the body of.
        body: The request body, where there are no arguments; None for none.
        method: The HTTP method.
        query: More query parameters, encoded.
        settings: The model's `[[models]]` entry, where it has one.
        timeout_seconds: A deadline for this one call.
    """

    model: str
    path: str | None = None
    own_path: str | None = None
    api: ModelAPI | None = None
    arguments: JSONObject | None = None
    body: Any = None
    method: Method = "POST"
    query: str = ""
    settings: ModelSettings | None = None
    timeout_seconds: float | None = None
