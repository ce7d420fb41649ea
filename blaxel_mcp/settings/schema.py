"""What can be set, what each key means and what it defaults to.

This module is the schema alone; `settings_sources` reads it from the command line, the
environment, the TOML file and the `bl login` file.
"""

from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from blaxel_mcp.settings.types import (
    HeaderValue,
    HttpUrl,
    IssuerUrl,
    RefuseOrAllow,
    ResultKind,
    Seconds,
    Section,
    StreamKind,
    ToolName,
)

DEFAULT_RUN_URL = "https://run.blaxel.ai"
DEFAULT_API_URL = "https://api.blaxel.ai/v0"
DEFAULT_API_VERSION = "2026-04-28"
"""The control-plane version that every Blaxel SDK has been seen to send."""

BuiltinTool = Literal["run_model", "list_models", "read_result", "cancel_call"]
BUILTIN_TOOLS: tuple[BuiltinTool, ...] = ("run_model", "list_models", "read_result", "cancel_call")


class DiscoverySettings(Section):
    """Whether and how often the control plane is asked about models."""

    enabled: bool | None = Field(
        default=None,
        description="true: list the workspace's models and make a tool of each. false: the control plane is never "
        "asked. Unset: true when no [[models]] is given, and otherwise asked only about a model that is called.",
    )
    include: tuple[str, ...] = Field(default=("*",), description="Globs of the names that become tools.")
    exclude: tuple[str, ...] = Field(default=(), description="Globs of the names that do not.")
    refresh_seconds: Seconds = Field(default=300, description="How long what the control plane said is trusted.")


class AccessSettings(Section):
    """What may be called at all; globs."""

    models: tuple[str, ...] = Field(default=("*",), description="Globs of model names that may be called.")
    paths: tuple[str, ...] = Field(default=("*",), description="Globs of sub-endpoints that may be called.")


class ToolSettings(Section):
    """Which tools are listed and how they are named."""

    prefix: str = Field(
        default="", max_length=20, pattern=r"^[A-Za-z0-9_-]*$", description="Put before every tool's name."
    )
    builtin: tuple[BuiltinTool, ...] = Field(default=BUILTIN_TOOLS, description="Which built-in tools are listed.")
    max_tools: int = Field(
        default=30, ge=0, description="Model tools listed at most; the rest stay reachable through run_model."
    )
    stream: StreamKind = Field(
        default="auto",
        description="When an answer is asked for as a stream; auto: when the client asked for progress.",
    )
    result: ResultKind = Field(default="json", description="json: the answer as it came; text: the model's text alone.")


class LimitSettings(Section):
    """Bounds on one call."""

    timeout_seconds: Seconds = Field(default=600, description="The whole call, in seconds.")
    connect_seconds: Seconds = Field(default=10, description="Connecting, in seconds.")
    max_concurrency: int = Field(default=16, ge=1, description="Calls of models in flight at most.")
    calls_per_minute: int | None = Field(default=None, ge=1, description="Calls of models begun in a minute at most.")
    max_queue: int = Field(
        default=256, ge=0, description="Calls that wait for their turn at most; one more is refused as busy."
    )
    detach_after_seconds: float = Field(
        default=50,
        ge=0,
        allow_inf_nan=False,
        description="When a slow call is handed back as a handle, in seconds; 0 is never.",
    )
    max_argument_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="The largest frame taken from a client, in bytes."
    )
    max_response_bytes: int = Field(
        default=64 * 1024 * 1024, gt=0, description="The most read from upstream, in bytes, after decompression."
    )
    max_result_chars: int = Field(
        default=40_000, ge=1000, description="The most text in one tool result, in characters."
    )
    max_media_bytes: int = Field(
        default=700_000, ge=0, description="The most media in one tool result, in bytes before base64."
    )


class CapSettings(Section):
    """What may be spent in a day (UTC), by all processes of this user together."""

    calls_per_day: int | None = Field(default=None, ge=0, description="Calls of models.")
    tokens_per_day: int | None = Field(default=None, ge=0, description="Tokens, input and output together.")
    usd_per_day: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="USD, by `price`.")
    unpriced: RefuseOrAllow = Field(
        default="refuse",
        description="What becomes of a call under a USD cap whose model has no price; allowed, it counts as a call.",
    )
    on_ledger_failure: RefuseOrAllow = Field(
        default="refuse", description="What becomes of calls under a cap when the ledger of them cannot be used."
    )


class BudgetSettings(CapSettings):
    """Caps on all calls together, and where the calls are counted."""

    ledger: str | None = Field(
        default=None, description="The ledger's file; :memory: for none. Otherwise one in the user's state directory."
    )


class FileSettings(Section):
    """Which files may be read for an agent, and where large media are written."""

    allowed_dirs: tuple[str, ...] = Field(default=(), description="Folders whose files an agent may send to a model.")
    output_dir: str | None = Field(default=None, description="Folder for media too large for a result.")
    max_bytes: int = Field(default=20 * 1024 * 1024, gt=0, description="The largest file sent, in bytes.")


HttpAuth = Literal["token", "oauth", "caller", "platform"]
"""Who lets a caller over HTTP in: a static token, an OAuth issuer, Blaxel by the caller's own key, or the platform."""


class HttpSettings(Section):
    """Where the HTTP transport listens, and who may call it."""

    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="The port; 0 takes any free one.")
    auth: HttpAuth | None = Field(
        default=None,
        description="token: one of bearer_tokens; oauth: a JWT of the issuer; caller: each caller brings its own "
        "X-Blaxel-Authorization and X-Blaxel-Workspace; platform: what is in front, as Blaxel's gateway is, has asked "
        "already. Unset: nobody is asked, and only this machine is listened to.",
    )
    bearer_tokens: tuple[SecretStr, ...] = Field(default=(), description="The tokens that let a caller in.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Values of the Host header that are answered, `name` or `name:port` or `name:*`."
    )
    allowed_origins: tuple[str, ...] = Field(default=(), description="Values of the Origin header that are answered.")
    issuer: IssuerUrl | None = Field(default=None, description="The OAuth issuer whose tokens let a caller in.")
    audience: str | None = Field(default=None, min_length=1, description="The audience that its tokens must name.")
    jwks_url: HttpUrl | None = Field(default=None, description="Its keys; found by its metadata if unset.")
    scopes: tuple[str, ...] = Field(default=(), description="The scopes that its tokens must have.")
    resource_url: HttpUrl | None = Field(
        default=None,
        description="This server's own public URL, for the OAuth metadata; the address it listens on if unset.",
    )


class Price(Section):
    """What a model costs, in USD per million tokens."""

    input: float = Field(ge=0, allow_inf_nan=False, description="USD per million input tokens.")
    output: float = Field(ge=0, allow_inf_nan=False, description="USD per million output tokens.")


class ModelSettings(Section):
    """One `[[models]]` entry: a model API that gets a tool of its own."""

    name: str = Field(min_length=1, max_length=128, description="The model API's name in the workspace.")
    tool: ToolName | None = Field(default=None, description="The tool's name; made from the model's otherwise.")
    title: str | None = Field(default=None, description="The tool's title.")
    description: str | None = Field(default=None, description="What the agent reads to choose this tool.")
    api: str | None = Field(default=None, description="Which API the endpoint speaks; docs/model-apis.md lists them.")
    path: str | None = Field(default=None, description="The sub-endpoint; overrides the API's own.")
    workspace: HeaderValue | None = Field(default=None, description="Another workspace than the global one.")
    url: HttpUrl | None = Field(default=None, description="A forced endpoint URL.")
    defaults: dict[str, Any] = Field(default_factory=dict, description="Body fields filled in when absent.")
    locked: dict[str, Any] = Field(default_factory=dict, description="Body fields that the caller cannot change.")
    input_schema: dict[str, Any] | None = Field(default=None, description="A JSON Schema for the tool's arguments.")
    timeout_seconds: Seconds | None = Field(default=None, description="The whole call, for this model.")
    result: ResultKind | None = Field(default=None, description="As tools.result, for this model.")
    stream: StreamKind | None = Field(default=None, description="As tools.stream, for this model.")
    max_concurrency: int | None = Field(default=None, ge=1, description="As limits.max_concurrency, for this model.")
    idempotent: bool = Field(
        default=False, description="Whether a call may be sent again when the first one may have been worked on."
    )
    price: Price | None = Field(default=None, description="For the cost in each receipt, and for caps in USD.")
    budget: CapSettings | None = Field(default=None, description="As [budget], for this model alone.")


class Settings(BaseSettings):
    """The settings of one server, as a value.

    Constructing it reads nothing but its arguments, so a test or a script gets exactly
    what it says; `settings_sources.load_settings` is what consults the outside.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    workspace: HeaderValue | None = Field(default=None, description="The workspace's name.")
    api_key: SecretStr | None = Field(default=None, description="A Blaxel API key.")
    client_credentials: SecretStr | None = Field(
        default=None, description="A service account's client credentials, as Blaxel shows them (base64 of id:secret)."
    )
    api_key_command: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        # Somebody may have put the key itself among its words.
        repr=False,
        description="A command, as a list of words, that prints the API key.",
    )
    run_url: HttpUrl = Field(default=DEFAULT_RUN_URL, description="Base URL of the inference endpoint.")
    api_url: HttpUrl = Field(default=DEFAULT_API_URL, description="Base URL of the control plane.")
    api_version: HeaderValue = Field(default=DEFAULT_API_VERSION, description="The control plane's version.")
    url_source: Literal["auto", "metadata", "run"] = Field(
        default="auto",
        description="auto: mk3 models at their own URL, others at run_url; metadata: any model's own URL where it "
        "has one; run: always run_url.",
    )
    discovery: DiscoverySettings = DiscoverySettings()
    access: AccessSettings = AccessSettings()
    tools: ToolSettings = ToolSettings()
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    files: FileSettings = FileSettings()
    http: HttpSettings = HttpSettings()
    models: tuple[ModelSettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings' own
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the arguments only: a Settings is a value, not a reader."""
        return (init_settings,)
