"""One caller's tenant: its models as tools and resources, its in-flight calls, its answers."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
from mcp.server.context import ServerRequestContext

from blaxel_mcp.budget.shared.engine import hashed
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import SHOWN_CHARS
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.runtime import Environment, Runtime, build_runtime
from blaxel_mcp.inference.semaphores import RateLimiter
from blaxel_mcp.server.callers import ANYONE, Caller
from blaxel_mcp.server.credential_check import with_own_credentials
from blaxel_mcp.server.notifications import ToolChanges, progress_report
from blaxel_mcp.server.pages.result_app import RESULT_URI, app_reader_tool, result_app, shown_in_app, shows_apps
from blaxel_mcp.server.sharing import Sharing
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import FileSettings
from blaxel_mcp.tools.ask_models import ask_models_tool, is_of_use
from blaxel_mcp.tools.call_tools import cancel_call_tool, read_result_tool
from blaxel_mcp.tools.calls import REJOIN_SECONDS, CallRegistry, CallResult
from blaxel_mcp.tools.consent import Agreed, consent_asker
from blaxel_mcp.tools.model_tools import model_tools
from blaxel_mcp.tools.paid_once import CLIENT_KEYS, PaidOnce, client_key
from blaxel_mcp.tools.registry import Tool, ToolRegistry
from blaxel_mcp.tools.resources import Resources
from blaxel_mcp.tools.results.results import ResultPolicy, error_result
from blaxel_mcp.tools.run_model import list_models_tool, run_model_tool
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.visibility import Visibility

Context = ServerRequestContext[Any, Any]


@dataclass(slots=True, eq=False)
class _Generation:
    """A runtime and its caller's view of the settings, until other settings replace them."""

    runtime: Runtime
    visibility: Visibility
    retired: anyio.Event = field(default_factory=anyio.Event)


class Tenant:
    """The state of one caller. Its calls and answers outlive a change of the settings.

    In a trial, Blaxel has not accepted the caller's credentials yet: the control plane is not called, and no call
    outlives its request.

    Raises:
        ConfigurationError: A configured model cannot become a tool.

    Attributes:
        requests: The number of its caller's requests that are being answered.
        last_used: When the last of them began or ended, by the clock of `Tenants`.
        evicted: Set to end `serve`.
        rate: The limit of tool calls; replaced when the settings change.
        runtime: The runtime in use now.
        visibility: The caller's view of the server.
    """

    def __init__(
        self,
        caller: Caller,
        config: Configuration,
        limits: CallLimits,
        environment: Environment,
        *,
        rate: RateLimiter | None,
        is_trial: bool,
        sharing: Sharing,
        once: PaidOnce,
    ) -> None:
        self.caller = caller
        self.requests, self.last_used = 0, 0.0
        self.evicted = anyio.Event()
        owner = hashed(caller.identity)
        rejoin_seconds = 0 if caller.is_owner else REJOIN_SECONDS
        self.calls = CallRegistry(shared=sharing.calls, owner=owner, rejoin_seconds=rejoin_seconds)
        self.store = CallStore(shared=sharing.answers(owner))
        self.changes = ToolChanges()
        self.tools = ToolRegistry(self.calls, once=once, owner=owner)
        # Only for the owner is the process a session; over HTTP, several people may be one caller.
        self._agreed: Agreed | None = {} if caller.is_owner else None
        self._environment = environment
        self.rate = rate
        self._is_trial = is_trial
        self._sharing = sharing
        self._own_limits: CallLimits | None = None
        self._use(self._build(config, limits))

    @property
    def is_proven(self) -> bool:
        """Whether Blaxel has accepted the tenant's credentials since the settings were last applied."""
        return self.runtime.client.has_been_answered

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Serve until the tenant is evicted; then the calls are cancelled, and after them their connections closed."""
        async with self.store, anyio.create_task_group() as self._group:
            try:
                async with self.calls.running():
                    await self._begin(self._generation)
                    task_status.started()
                    await self.evicted.wait()
            finally:
                self._generation.retired.set()
                self.changes.listen.close()

    async def reconfigure(self, config: Configuration, limits: CallLimits) -> None:
        """Apply other settings from now on; in-flight calls finish under those that they started with.

        Raises ConfigurationError, and changes nothing, if they cannot be used.
        """
        new = self._build(config, limits)
        new.runtime.discovery.adopt(self.runtime.discovery.snapshots.values())
        await self._begin(new)
        try:
            await new.runtime.discovery.wait_ready()
        except anyio.get_cancelled_exc_class():
            # Nothing uses it yet, and `serve` waits for it.
            new.retired.set()
            raise
        old, definitions = self._generation, self.tools.definitions
        self._use(new)
        old.retired.set()
        if self.tools.definitions != definitions:
            await self.changes.announce()

    async def end_trial(self, config: Configuration, limits: CallLimits) -> None:
        """Serve the caller like any other from now on: Blaxel has accepted its credentials."""
        self._is_trial = False
        new, old = self._build(config, limits), self._generation
        await self._begin(new)
        self._use(new)
        old.retired.set()

    def notify(self, problem: str | None) -> None:
        """Show the owner in `list_models` the problem with the settings file; None clears it."""
        self.runtime.listing.notice = problem if self.caller.is_owner else None

    async def list_tools(self, context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Return every tool; for a client that shows apps, the tools name their app."""
        await self.runtime.discovery.wait_ready()
        if not shows_apps(context):
            return types.ListToolsResult(tools=self.tools.definitions)
        prefix = self.runtime.config.settings.tools.prefix
        return types.ListToolsResult(tools=shown_in_app(self.tools.tools, prefix=prefix))

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return a resource, which may be the result app; raises MCPError if there is no such resource."""
        if params.uri != RESULT_URI:
            return await self.resources.read(context, params)
        tools = self.runtime.config.settings.tools
        contents = result_app(tools.prefix, has_reader="read_result" in tools.builtin)
        return types.ReadResourceResult(contents=[contents])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> CallResult:
        """Call a tool, and send progress notifications if asked to; raises MCPError if there is no such tool."""
        try:
            if self.rate:
                self.rate.require()
        except BlaxelError as error:
            return error_result(error, CallContext())
        # A client that knows the tools from an earlier session may call one at once.
        await self.runtime.discovery.wait_ready()
        wants_progress = context.meta and context.meta.get("progress_token") is not None
        report = progress_report(context, self.visibility.text) if wants_progress else None
        about = context.session.client_params
        client = about.client_info.name[:SHOWN_CHARS] if about else ""
        sent_key = client_key(context.meta) if context.meta and not CLIENT_KEYS.isdisjoint(context.meta) else None
        visibility, asker = self.visibility, None
        if self.runtime.spending.asks:
            asker = consent_asker(context, params, self._agreed, shows_budget=visibility.shows_budget)
        result = await self.tools.call(params.name, params.arguments, report, client, sent_key=sent_key, asker=asker)
        return visibility.result(result) if isinstance(result, types.CallToolResult) else result

    def _build(self, config: Configuration, limits: CallLimits) -> _Generation:
        visibility = Visibility()
        if not self.caller.is_owner:
            own_key = self.caller.credential is not None
            visibility = Visibility(config, own_key=own_key, own_budget=own_key or self.caller == ANYONE)
        return _Generation(self._build_runtime(config, limits), visibility)

    def _build_runtime(self, config: Configuration, limits: CallLimits) -> Runtime:
        identity = self.caller.identity
        if self.caller.credential is None:
            return build_runtime(
                config,
                caller=identity,
                shares_account=not (self.caller.is_owner or self.caller == ANYONE),
                limits=limits.for_caller(identity),
                environment=self._environment,
            )
        # The caller brings its own credentials: none of the owner's credentials, models, limits or files are used.
        settings = config.settings
        in_trial: dict[str, Any] = {"enabled": False} if self._is_trial else {}
        discovery = settings.discovery.model_copy(update={"workspaces": (), **in_trial})
        call_limits = settings.limits.model_copy(update={"detach_after_seconds": 0} if self._is_trial else {})
        own_config = with_own_credentials(
            settings, self.caller, files=FileSettings(), models=(), discovery=discovery, limits=call_limits
        )
        own_limits = CallLimits(own_config.settings.limits, across=self._sharing.limits, scope=hashed(identity))
        self._own_limits = own_limits.continuing(self._own_limits)
        return build_runtime(
            own_config,
            account=identity,
            limits=self._own_limits,
            caller=identity,
            cached=False,
            environment=self._environment,
        )

    def _use(self, generation: _Generation) -> None:
        self._generation = generation
        if self.evicted.is_set():
            # `serve` has retired the one before, and waits for this one.
            generation.retired.set()
        self.runtime = runtime = generation.runtime
        self.visibility = generation.visibility
        runtime.discovery.on_change(partial(self._refresh, generation))
        self.resources = Resources(
            catalog=lambda: runtime.discovery.catalog,
            store=self.store,
            settings=runtime.config.settings,
            look_up=runtime.listing.look_up,
            spending=runtime.spending,
            visibility=self.visibility,
        )
        self.tools.replace(self._make_tools(), runtime.config.settings)

    async def _refresh(self, generation: _Generation) -> None:
        if generation is self._generation:
            definitions = self.tools.definitions
            self.tools.replace(self._make_tools(), self.runtime.config.settings)
            # No client needs a notification of the first list: `tools/list` waits for it.
            if self.runtime.discovery.is_ready and self.tools.definitions != definitions:
                await self.changes.announce()

    def _make_tools(self) -> list[Tool]:
        runtime, settings = self.runtime, self.runtime.config.settings
        visibility, catalog = self.visibility, runtime.discovery.catalog
        prefix = settings.tools.prefix
        policy = ResultPolicy(
            store=self.store,
            settings=settings,
            reader=f"{prefix}read_result",
            writes_files=visibility.writes_files,
        )
        builtin = {
            "ask_models": ask_models_tool(catalog, runtime, policy, visibility),
            "run_model": run_model_tool(catalog, runtime, policy, visibility),
            "list_models": list_models_tool(runtime.listing, visibility, prefix=prefix),
            "read_result": read_result_tool(policy, self.calls),
            "cancel_call": cancel_call_tool(self.calls, prefix=prefix),
        }
        tools = model_tools(catalog, runtime.inference, policy)
        if not is_of_use(catalog, settings.tools):
            del builtin["ask_models"]
        tools += [tool for name, tool in builtin.items() if name in settings.tools.builtin]
        for_app = app_reader_tool(self.resources.contents, prefix=prefix)
        # The tool of a model that has this name takes precedence.
        return tools if for_app.name in {tool.name for tool in tools} else [*tools, for_app]

    async def _begin(self, generation: _Generation) -> None:
        # A start that is cancelled waits for its task, which ends only when the generation is retired.
        with anyio.CancelScope(shield=True):
            await self._group.start(self._run, generation)

    async def _run(self, generation: _Generation, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep a runtime running until it is retired and no call uses it."""
        # Cancelling the tenant cancels its calls; the connections are closed after them.
        with anyio.CancelScope(shield=True):
            async with generation.runtime.running():
                task_status.started()
                await generation.retired.wait()
                for call in self.calls.in_flight:
                    await call.wait(None)
