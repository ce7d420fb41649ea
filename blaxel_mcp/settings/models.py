"""Settings of single models: `[[models]]`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from blaxel_mcp.settings.limits import CapSettings
from blaxel_mcp.settings.types import (
    APIName,
    CredentialUrl,
    HeaderValue,
    JSONTable,
    Pointers,
    RequestHeaders,
    ResultKind,
    Seconds,
    Section,
    StreamKind,
    ToolName,
    Whole,
)

Dollars = Annotated[float, Field(ge=0, le=1_000_000)]


class Price(Section):
    """The price of a model. Parts of the input or output that are omitted cost the same; anything else is free.

    Cached input and written caches of Claude cost 0.1 and 1.25 times `input` unless they are set, and twice `input` if
    they are kept for an hour.
    """

    input: Dollars | None = None
    """USD per million input tokens."""

    output: Dollars | None = None
    """USD per million output tokens."""

    cached_input: Dollars | None = None
    """USD per million input tokens from a cache."""

    cache_write: Dollars | None = None
    """USD per million input tokens written to a cache."""

    reasoning: Dollars | None = None
    """USD per million reasoning tokens."""

    per_call: Dollars | None = None
    """USD per call."""

    per_image: Dollars | None = None
    """USD per picture in the answer."""

    per_minute: Dollars | None = None
    """USD per minute of audio that is read."""

    per_1k_searches: Dollars | None = None
    """USD per thousand searches."""

    @model_validator(mode="after")
    def _is_a_price(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("is empty; give it `input` and `output` or another key")
        if (self.input is None) != (self.output is None):
            raise ValueError("has one of `input` and `output`; give it the other one too, 0 if it costs nothing")
        if self.input is None and not {"cached_input", "cache_write", "reasoning"}.isdisjoint(self.model_fields_set):
            raise ValueError("has prices of parts of the input or output; give it `input` and `output` too")
        return self


class ModelSettings(Section):
    """A model API with a tool of its own; repeat the table for each. It overrides the discovered model of that name."""

    name: str = Field(min_length=1, max_length=128)
    """Name of the model API in the workspace."""

    tool: ToolName | None = None
    """Name of the tool, at most 40 characters. Unset: made from the model's name."""

    title: str | None = None
    """Title of the tool, for people. Unset: the model's name."""

    description: str | None = None
    """Description from which the agent chooses this tool. Unset: made from the model's name and API."""

    api: APIName | None = None
    """API of the endpoint, one of those in docs/model-apis.md. Unset: detected, else raw."""

    path: str | None = None
    """Sub-endpoint to call. Unset: the one of the API."""

    workspace: HeaderValue | None = None
    """Workspace of the model. Unset: the top-level workspace."""

    url: CredentialUrl | None = None
    """URL of the endpoint; overrides url_source."""

    headers: RequestHeaders = Field(default_factory=dict)
    """Extra request headers; not credentials, host or cookies."""

    defaults: JSONTable = Field(default_factory=dict)
    """Fields of the request body that are added when the caller omits them."""

    locked: JSONTable = Field(default_factory=dict)
    """Fields of the request body that the caller cannot change."""

    input_schema: JSONTable | None = None
    """JSON Schema of the tool's arguments. Unset: the one of the API."""

    timeout_seconds: Seconds | None = None
    """Deadline of a whole call, in seconds. Unset: limits.timeout_seconds."""

    result: ResultKind | None = None
    """What the tool returns. Unset: tools.result."""

    select: Pointers | None = None
    """JSON Pointers of the parts of an answer that the tool returns: one as it is, several as an object. The argument
    select overrides it. Unset: the whole answer."""

    stream: StreamKind | None = None
    """When to request an answer as a stream. Unset: tools.stream."""

    max_concurrency: Whole | None = Field(default=None, ge=1)
    """Maximum number of calls of this model in flight, within limits.max_concurrency."""

    idempotent: bool = False
    """Whether to retry a call that failed although the model may have worked on it and billed it."""

    price: Price | None = None
    """Price of the model, for the cost in each receipt and for usd_per_day."""

    budget: CapSettings | None = None
    """Caps for this model, in addition to those in [budget]."""
