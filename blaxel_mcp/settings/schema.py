"""The schema of the settings: every key with its type, default and description.

`settings.loading` fills it from the command line, the environment, the TOML file and the `bl login` file. The
reference in docs/configure.md is generated from it and from the descriptions below the keys.
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from blaxel_mcp.settings.types import (
    APIName,
    ClosedSection,
    Credential,
    CredentialUrl,
    DetachAfter,
    HeaderValue,
    HttpUrl,
    IssuerUrl,
    LedgerLocation,
    ListenAddress,
    LongSecret,
    Pointers,
    ReceiptKind,
    RedisUrl,
    RefuseOrAllow,
    RequestHeaders,
    ResultKind,
    RootedPath,
    Seconds,
    Section,
    StreamKind,
    ToolName,
    ToolPrefix,
)

HttpMethod = Literal["POST", "GET", "PUT", "PATCH", "DELETE"]
BuiltinTool = Literal["ask_models", "run_model", "list_models", "read_result", "cancel_call"]
BUILTIN_TOOLS: tuple[BuiltinTool, ...] = get_args(BuiltinTool)


class DiscoverySettings(Section):
    """Whether the workspace's models are discovered through the control plane, and which of them become tools."""

    enabled: bool | None = None
    """true: list the workspace's models and make each a tool. false: never ask the control plane. Unset: true with
    `workspaces` or without [[models]]; otherwise look up only the models that are called."""

    include: tuple[str, ...] = ("*",)
    """Globs of model names, or of WORKSPACE/MODEL, that become tools."""

    exclude: tuple[str, ...] = ()
    """Globs of model names that do not become tools; takes precedence over include."""

    workspaces: tuple[HeaderValue, ...] = ()
    """Workspaces whose models become tools; those of the first have the shortest names. Unset: the top-level
    workspace."""

    refresh_seconds: Seconds = 300
    """How long the control plane's answers are used before they are refreshed, in seconds."""


class WorkspaceSettings(Section):
    """The credentials of one workspace, as [workspaces.NAME]; they override the top-level ones for it."""

    api_key: Credential | None = None
    """Blaxel API key."""

    client_credentials: Credential | None = None
    """Client credentials of a service account of the workspace."""

    api_key_command: tuple[str, ...] | None = Field(default=None, min_length=1, repr=False)
    """Command that prints the API key, as a list of words."""


class AccessSettings(ClosedSection):
    """Allowlists of what may be called. A model that the body, path or query names counts by its full name."""

    models: tuple[str, ...] = ("*",)
    """Globs of model names that may be called."""

    paths: tuple[str, ...] = ("*",)
    """Globs of sub-endpoints that may be called."""

    methods: tuple[HttpMethod, ...] = ("POST", "GET")
    """HTTP methods that may be used: POST, GET, PUT, PATCH, DELETE."""


class ToolSettings(Section):
    """Which tools are listed, what they are called and what they return."""

    prefix: ToolPrefix = ""
    """Prefix of every tool name: at most 20 letters, digits, _ or -."""

    builtin: tuple[BuiltinTool, ...] = BUILTIN_TOOLS
    """Built-in tools to list. ask_models needs two models that answer questions; in the layouts per-api and generic, it
    is listed only if it is named here."""

    max_tools: int = Field(default=30, ge=0)
    """Maximum number of models that get a tool; the others can be called with run_model."""

    layout: Literal["per-model", "per-api", "generic"] = "per-model"
    """Which tools the models get. per-model: one for each. per-api: one for each API, with the model as an argument.
    generic: none, only run_model."""

    stream: StreamKind = "auto"
    """When to request an answer as a stream. auto: when the client asks for progress and the API can stream."""

    result: ResultKind = "json"
    """What a tool returns. json: the whole answer. text: only the model's text."""

    receipt: ReceiptKind = "meta"
    """Where the receipt of a call is. meta: in _meta, for programs. text: also a short line with call_id, tokens and
    cost that the model sees; results then have no structured content, which clients show instead."""

    def tool_of(self, own: str, api: str) -> str:
        """Return the name of the tool that calls a model: its own, its API's, or run_model."""
        names = {"per-model": own, "per-api": f"{self.prefix}{api}", "generic": f"{self.prefix}run_model"}
        return names[self.layout]


class LimitSettings(ClosedSection):
    """Timeouts, concurrency and rate limits, and size limits."""

    timeout_seconds: Seconds = 600
    """Deadline of a whole call, in seconds."""

    connect_seconds: Seconds = 10
    """Timeout for connecting, in seconds."""

    max_concurrency: int = Field(default=16, ge=1)
    """Maximum number of model calls in flight."""

    calls_per_minute: int | None = Field(default=None, ge=1)
    """Maximum number of model calls started in any minute; further calls wait."""

    max_queue: int = Field(default=256, ge=0)
    """Maximum number of calls that wait for a slot; a further call fails with busy."""

    detach_after_seconds: DetachAfter = "auto"
    """After how many seconds a running call is returned as a handle for read_result; 0: never. auto: after 50, but
    never to a client that moves slow calls to the background by itself."""

    max_argument_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """Maximum size of a message from the client, in bytes."""

    max_response_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Maximum size of an upstream response, in bytes after decompression."""

    max_result_chars: int = Field(default=40_000, ge=1000)
    """Maximum text in one tool result, in characters; read_result returns the rest."""

    max_media_bytes: int = Field(default=700_000, ge=0)
    """Maximum media in one tool result, in bytes before base64; larger media become files."""


class CapSettings(ClosedSection):
    """Caps per day (UTC) on all processes of this user together."""

    calls_per_day: int | None = Field(default=None, ge=0)
    """Maximum number of model calls per day."""

    tokens_per_day: int | None = Field(default=None, ge=0)
    """Maximum number of tokens per day, input and output together."""

    usd_per_day: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Maximum cost per day in USD, by the price of each model."""

    ask_over_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Above which estimate in USD a person is asked before the call is sent; a model's own value overrides the one for
    all."""

    unpriced: RefuseOrAllow = "refuse"
    """Whether to refuse or allow calls without a price, or without token usage, under usd_per_day; under ask_over_usd,
    whether to ask before them."""

    on_ledger_failure: RefuseOrAllow = "refuse"
    """Whether to refuse or allow calls under a cap when the ledger cannot be used."""


class BudgetSettings(CapSettings):
    """Caps per day (UTC) on all calls, shared by all processes of this user."""

    when_nobody_answers: Literal["refuse", "send"] = "refuse"
    """Whether to refuse or send a call above ask_over_usd when the client cannot ask a person, or nobody answers."""

    # A URL may hold a password.
    ledger: LedgerLocation | None = Field(default=None, repr=False)
    """File that counts calls, relative to the settings file's folder; :memory: counts in this server only; a URL such
    as redis://host:6379/0 counts for all machines that use it. Unset: shared.url, or else ledger.sqlite3 in the user's
    state folder."""


LEASE_SECONDS = 15.0
"""The default of `shared.lease_seconds`."""


class SharedSettings(ClosedSection):
    """Redis or Valkey that several servers share: budget, limits, handles and answers then hold for all of them."""

    url: RedisUrl | None = None
    """URL of a Redis 7 or Valkey, such as redis://host:6379/0, or rediss:// for TLS; with the extra `redis`. Unset:
    nothing is shared."""

    key: LongSecret | None = None
    """Key that encrypts prompts and answers there, the same for each server: at least 32 random characters. Required
    with url."""

    lease_seconds: float = Field(default=LEASE_SECONDS, ge=1, le=300)
    """After how many seconds without a sign of its server a running call counts as lost."""


class FileSettings(ClosedSection):
    """Files that an agent may send to a model, and where large media are written."""

    allowed_dirs: tuple[RootedPath, ...] = ()
    """Folders whose files an agent may send to a model; each absolute or below ~/."""

    output_dir: RootedPath | None = None
    """Folder for media that are too large for a result; absolute or below ~/. Unset: a private folder in the user's
    cache."""

    max_bytes: int = Field(default=20 * 1024 * 1024, gt=0)
    """Maximum size of a file that is sent, in bytes."""


HttpAuth = Literal["token", "oauth", "caller", "platform"]
"""How HTTP callers are authenticated; the description of `http.auth` explains each."""


class HttpSettings(ClosedSection):
    """Where the HTTP transport listens, and who may call it."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on."""

    port: int = Field(default=8000, ge=0, le=65_535)
    """Port to listen on; 0: any free port."""

    auth: HttpAuth | None = None
    """How callers are authenticated. token: with one of bearer_tokens. oauth: with a JWT of the issuer. caller: each
    caller sends its own X-Blaxel-Authorization and X-Blaxel-Workspace. platform: by the gateway in front, such as
    Blaxel's. Unset: not at all, and the server listens on loopback only."""

    bearer_tokens: tuple[SecretStr, ...] = ()
    """Tokens that are accepted with auth = "token"; they are never sent to Blaxel."""

    allowed_hosts: tuple[str, ...] = ()
    """Accepted values of the Host header: `name`, `name:port` or `name:*`."""

    allowed_origins: tuple[str, ...] = ()
    """Accepted values of the Origin header, for pages in a browser."""

    issuer: IssuerUrl | None = None
    """OAuth issuer whose tokens are accepted with auth = "oauth"."""

    audience: str | None = Field(default=None, min_length=1)
    """Audience that its tokens must have."""

    jwks_url: HttpUrl | None = None
    """URL of the issuer's keys. Unset: the one in the issuer's metadata."""

    scopes: tuple[str, ...] = ()
    """Scopes that its tokens must have."""

    resource_url: HttpUrl | None = None
    """This server's public URL, for the OAuth metadata. Unset: the address that it listens on."""

    drain_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How long running calls may finish after SIGTERM, in seconds. Unset: limits.timeout_seconds with [shared],
    otherwise 5."""

    metrics_address: ListenAddress | None = None
    """Where Prometheus text is served at /metrics, to anyone who can connect: a port of loopback, or address:port.
    Unset: nowhere."""


class AuditSettings(ClosedSection):
    """A file with one line of JSON for each call that was billed or may have been: who called what, and its cost."""

    file: RootedPath | None = None
    """The file, absolute or below ~/; it has no prompts and no answers. A call is refused as long as an earlier one
    could not be written. Unset: none."""

    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Size at which the file is renamed, with the time in UTC, and a new one begins, in bytes."""


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

    defaults: dict[str, Any] = Field(default_factory=dict)
    """Fields of the request body that are added when the caller omits them."""

    locked: dict[str, Any] = Field(default_factory=dict)
    """Fields of the request body that the caller cannot change."""

    input_schema: dict[str, Any] | None = None
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

    max_concurrency: int | None = Field(default=None, ge=1)
    """Maximum number of calls of this model in flight, within limits.max_concurrency."""

    idempotent: bool = False
    """Whether to retry a call that failed although the model may have worked on it and billed it."""

    price: Price | None = None
    """Price of the model, for the cost in each receipt and for usd_per_day."""

    budget: CapSettings | None = None
    """Caps for this model, in addition to those in [budget]."""


class Settings(BaseSettings):
    """The settings of one server.

    The constructor uses only its arguments and reads no environment, so that a test or a script gets exactly what it
    passes. `settings.loading.load_settings` reads the sources.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    workspace: HeaderValue | None = None
    """Name of the workspace. Unset: the current one of `bl login`."""

    api_key: Credential | None = None
    """Blaxel API key."""

    client_credentials: Credential | None = None
    """Client credentials of a service account, as Blaxel shows them (base64 of id:secret)."""

    # The words may contain the key itself.
    api_key_command: tuple[str, ...] | None = Field(default=None, min_length=1, repr=False)
    """Command that prints the API key, as a list of words; it is run without a shell."""

    run_url: CredentialUrl = "https://run.blaxel.ai"
    """Base URL of the inference endpoint."""

    api_url: CredentialUrl = "https://api.blaxel.ai/v0"
    """Base URL of the control plane's API."""

    # The one that Blaxel's SDKs send.
    api_version: HeaderValue = "2026-04-28"
    """Version of the control plane's API."""

    url_source: Literal["auto", "metadata", "run"] = "auto"
    """Which URL a model is called at. auto: its own URL if it is of generation mk3, otherwise run_url. metadata: its
    own URL if it has one. run: always run_url."""

    prices: Literal["table", "configured"] = "table"
    """Where the price of a model without `price` comes from. table: the price table of genai-prices, by the provider
    and its model. configured: nowhere, so it stays unknown."""

    trace: Literal["sampled", "always"] = "sampled"
    """Which calls Blaxel keeps a trace of. sampled: a tenth. always: each call, by debug=true in its query; not at a
    model's own mk3 endpoint or url."""

    discovery: DiscoverySettings = DiscoverySettings()
    access: AccessSettings = AccessSettings()
    tools: ToolSettings = ToolSettings()
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    files: FileSettings = FileSettings()
    http: HttpSettings = HttpSettings()
    shared: SharedSettings = SharedSettings()
    audit: AuditSettings = AuditSettings()
    workspaces: dict[HeaderValue, WorkspaceSettings] = Field(default_factory=dict)
    """Credentials of single workspaces, each as a table [workspaces.NAME]."""

    models: tuple[ModelSettings, ...] = ()

    @property
    def listed_workspaces(self) -> tuple[str, ...]:
        """The workspaces whose models are listed, each once; the models of the first have the shortest tool names."""
        listed = dict.fromkeys(self.discovery.workspaces or filter(None, (self.workspace,)))
        first = [self.workspace] if self.workspace in listed else []
        return tuple(dict.fromkeys((*first, *listed)))

    @property
    def known_workspaces(self) -> frozenset[str]:
        """Every workspace that the settings name: a caller may call models of these and of no other."""
        named = (self.workspace, *self.discovery.workspaces, *self.workspaces, *(m.workspace for m in self.models))
        return frozenset(filter(None, named))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings' own
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments of the constructor as the only source."""
        return (init_settings,)
