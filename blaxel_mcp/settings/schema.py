"""The schema of the settings: every key with its type, default and description.

The larger tables are in `http`, `limits` and `models`. `settings.loading` fills it from the command line, the
environment, the TOML file and the `bl login` file. The reference in docs/configure.md is generated from it and from
the descriptions below the keys.
"""

from typing import Literal, get_args

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.limits import BudgetSettings, LimitSettings, SharedSettings
from blaxel_mcp.settings.models import ModelSettings
from blaxel_mcp.settings.types import (
    ClosedSection,
    Credential,
    CredentialUrl,
    HeaderValue,
    ReceiptKind,
    ResultKind,
    RootedPath,
    Seconds,
    Section,
    StreamKind,
    ToolPrefix,
    Whole,
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

    max_tools: Whole = Field(default=30, ge=0)
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


class FileSettings(ClosedSection):
    """Files that an agent may send to a model, and where large media are written."""

    allowed_dirs: tuple[RootedPath, ...] = ()
    """Folders whose files an agent may send to a model; each absolute or below ~/."""

    output_dir: RootedPath | None = None
    """Folder for media that are too large for a result; absolute or below ~/. Unset: a private folder in the user's
    cache."""

    max_bytes: Whole = Field(default=20 * 1024 * 1024, gt=0)
    """Maximum size of a file that is sent, in bytes."""


class AuditSettings(ClosedSection):
    """A file with one line of JSON for each call that was billed or may have been: who called what, and its cost."""

    file: RootedPath | None = None
    """The file, absolute or below ~/; it has no prompts and no answers. A call is refused as long as an earlier one
    could not be written. Unset: none."""

    max_bytes: Whole = Field(default=64 * 1024 * 1024, ge=1024)
    """Size at which the file is renamed, with the time in UTC, and a new one begins, in bytes."""


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
