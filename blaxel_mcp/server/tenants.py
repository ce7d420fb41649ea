"""Per-caller state, created on a caller's first request and evicted when idle.

Over stdio there is one caller, the user. Over HTTP there may be many. The models, answers, handles and budget of each
are in a tenant of its own, so no lookup can reach those of another.

A caller with its own credentials gets a tenant once Blaxel has accepted them. Until then each of its requests is served
separately, and nothing is kept afterwards.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import anyio.to_thread
import mcp_types as types
from mcp.shared.exceptions import MCPError

from blaxel_mcp.budget.open_ledgers import OPEN_LEDGERS
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.inference.semaphores import RateLimiter
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.credential_check import CredentialCheck, Verdict
from blaxel_mcp.server.sharing import ALONE, Sharing
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings

MAX_TENANTS = 200
IDLE_SECONDS = 3600.0
"""How many callers are served at once, and how long an idle tenant is kept: as long as its answers."""

TOOL_CALLS_PER_MINUTE = 600
"""How many calls of any tool one caller over HTTP may make in a minute (MCP 2025-11-25, server/tools: servers MUST rate
limit tool invocations). `limits.calls_per_minute` counts, if it is more."""

_MAX_RATES = 1000
"""Callers whose rate is tracked, including those without a tenant."""


class Tenants:
    """The tenants of a server; they close the shared state at their end.

    With `serves_owner`, as over stdio, the owner's tenant is there from the beginning.

    Attributes:
        asks_a_person: Whether the settings require a person's consent to any call.

    Raises:
        ConfigurationError: A configured model cannot become a tool.
    """

    def __init__(
        self,
        config: Configuration,
        environment: Environment,
        *,
        now: Callable[[], float] = time.monotonic,
        limit: int = MAX_TENANTS,
        serves_owner: bool = True,
        sharing: Sharing = ALONE,
    ) -> None:
        self._environment = environment
        self._now = now
        self._limit = limit
        self._serves_owner = serves_owner
        self._sharing = sharing
        self._once = sharing.paid_once()
        self._use(config, self._make_limits(config.settings))
        self._tenants: dict[str, Tenant] = {}
        self._trials: set[Tenant] = set()
        self._rates: OrderedDict[str, RateLimiter] = OrderedDict()
        self._check = CredentialCheck(environment, now)
        self._creating = anyio.Lock()
        self._checking: dict[str, anyio.Lock] = {}
        self._group: anyio.abc.TaskGroup | None = None
        self._has_ended = False
        self._problem: str | None = None
        # Built at once, so that wrong settings are reported before the first caller comes.
        self._owner = self._new(OWNER)

    def _use(self, config: Configuration, limits: CallLimits) -> None:
        self._config, self._limits = config, limits
        settings = config.settings
        budgets = (settings.budget, *(model.budget for model in settings.models))
        self.asks_a_person = any(budget is not None and budget.ask_over_usd is not None for budget in budgets)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the context lasts."""
        async with OPEN_LEDGERS.kept(), self._closing_what_is_shared(), anyio.create_task_group() as group:
            self._group = group
            try:
                if self._serves_owner:
                    await self._admit(self._owner)
                yield
            finally:
                self._has_ended = True
                for tenant in (*self._tenants.values(), *self._trials):
                    tenant.evicted.set()
                self._group = None

    @asynccontextmanager
    async def _closing_what_is_shared(self) -> AsyncIterator[None]:
        """Close the shared state after the tenants, whose calls hold slots and keys until their end."""
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._once.close)
                await anyio.to_thread.run_sync(self._sharing.close)

    async def of(self, caller: Caller) -> Tenant:
        """Return the tenant of a caller for one request, created now if needed; `release` ends its use.

        If Blaxel has not accepted the caller's credentials, the tenant is for this request only; if Blaxel rejects
        them, it refuses every call.
        """
        tenant = self._tenants.get(caller.identity)
        if tenant is None:
            tenant = await (self._newcomer(caller) if caller.credential is not None else self._placed(caller))
        tenant.requests += 1
        tenant.last_used = self._now()
        return tenant

    def have_tool(self, name: str) -> bool:
        """Return whether any caller has a tool with this name."""
        return any(name in tenant.tools for tenant in self._tenants.values())

    def release(self, tenant: Tenant) -> None:
        """End a request of a tenant; one that Blaxel has accepted meanwhile is kept."""
        tenant.requests -= 1
        tenant.last_used = self._now()
        if tenant in self._trials and tenant.is_proven and self._group is not None:
            self._group.start_soon(self._keep, tenant)
        elif tenant in self._trials:
            self._end_trial(tenant)

    async def reconfigure(self, config: Configuration) -> None:
        """Apply other settings to every tenant; raises ConfigurationError, and changes nothing, if it cannot."""
        async with self._creating:
            if config.settings.shared != self._config.settings.shared:
                raise ConfigurationError("[shared] cannot change while the server runs.", hint="Restart the server.")
            previous = self._config, self._limits
            self._use(config, self._make_limits(config.settings).continuing(self._limits))
            try:
                self._new(OWNER)
                for tenant in list(self._tenants.values()):
                    await tenant.reconfigure(config, self._limits)
            except ConfigurationError:
                self._use(*previous)
                raise
            self._rates.clear()
            for tenant in self._tenants.values():
                tenant.rate = self._rate_of(tenant.caller)
            self.notify(None)

    def notify(self, problem: str | None) -> None:
        """Set the notice on the settings file that `list_models` shows the owner; None clears it."""
        self._problem = problem
        for tenant in self._tenants.values():
            tenant.notify(problem)

    async def _placed(self, caller: Caller) -> Tenant:
        if caller.identity not in self._tenants:
            async with self._creating:
                if caller.identity not in self._tenants:
                    self._make_room()
                    await self._admit(self._new(caller))
        return self._tenants[caller.identity]

    async def _newcomer(self, caller: Caller) -> Tenant:
        """Return the tenant of a caller whose credentials Blaxel has not accepted yet, after checking them."""
        checking = self._checking.setdefault(caller.identity, anyio.Lock())
        try:
            # Requests of one caller ask one after the other: the first answer usually serves the rest.
            async with checking:
                verdict: Verdict | BlaxelError = "accepted"
                if caller.identity not in self._tenants:
                    verdict = await self._check.ask(self._config.settings, caller)
                if verdict == "accepted":
                    return await self._placed(caller)
        finally:
            if not checking.locked():
                self._checking.pop(caller.identity, None)
        tenant = self._new(caller, is_trial=True)
        if isinstance(verdict, BlaxelError):
            tenant.tools.rejection = verdict
            return tenant
        self._trials.add(tenant)
        await self._start(tenant)
        return tenant

    async def _keep(self, tenant: Tenant) -> None:
        """Keep a tenant whose credentials Blaxel has accepted in a call, with its answers."""
        async with self._creating:
            # The server is full, or another request of the caller was first.
            with suppress(MCPError):
                if tenant.caller.identity not in self._tenants and not tenant.evicted.is_set():
                    self._make_room()
                    await tenant.end_trial(self._config, self._limits)
                    self._tenants[tenant.caller.identity] = tenant
                    self._trials.remove(tenant)
                    return
        self._end_trial(tenant)

    def _end_trial(self, tenant: Tenant) -> None:
        self._trials.discard(tenant)
        tenant.evicted.set()

    def _new(self, caller: Caller, *, is_trial: bool = False) -> Tenant:
        return Tenant(
            caller,
            self._config,
            self._limits,
            self._environment,
            rate=self._rate_of(caller),
            is_trial=is_trial,
            sharing=self._sharing,
            once=self._once,
        )

    def _make_limits(self, settings: Settings) -> CallLimits:
        """Return the limits of the callers who spend the owner's key; with `oauth` and several tokens they share them.

        Other callers have limits of their own.
        """
        http = settings.http
        shared = http.auth == "oauth" or (http.auth == "token" and len(http.bearer_tokens) != 1)
        return CallLimits(settings.limits, shared=shared, across=self._sharing.limits)

    def _rate_of(self, caller: Caller) -> RateLimiter | None:
        if caller.is_owner:
            return None
        rate = self._rates.pop(caller.identity, None)
        if rate is None:
            per_minute = max(TOOL_CALLS_PER_MINUTE, self._config.settings.limits.calls_per_minute or 0)
            rate = RateLimiter(per_minute, self._now)
        self._rates[caller.identity] = rate
        if len(self._rates) > _MAX_RATES:
            self._rates.popitem(last=False)
        return rate

    async def _admit(self, tenant: Tenant) -> None:
        await self._start(tenant)
        self._tenants[tenant.caller.identity] = tenant

    async def _start(self, tenant: Tenant) -> None:
        assert self._group is not None, "callers are served inside `running`"
        tenant.last_used = self._now()
        tenant.notify(self._problem)
        # Started as a whole even if the request is cancelled: it would wait for a task that waits for its own end.
        with anyio.CancelScope(shield=True):
            await self._group.start(tenant.serve)
        if self._has_ended:
            tenant.evicted.set()

    def _make_room(self) -> None:
        """Evict idle tenants; if the server is still full, evict the one that was idle longest.

        A tenant with a call in flight is never evicted; one with an open request, such as an event stream, is the last.
        """
        candidates = [tenant for tenant in self._tenants.values() if not tenant.calls.in_flight]
        candidates.sort(key=lambda tenant: (tenant.requests > 0, tenant.last_used))
        for tenant in candidates:
            is_idle = not tenant.requests and self._now() - tenant.last_used > IDLE_SECONDS
            if is_idle or len(self._tenants) >= self._limit:
                del self._tenants[tenant.caller.identity]
                tenant.evicted.set()
        if len(self._tenants) >= self._limit:
            raise MCPError(code=types.INTERNAL_ERROR, message="The server has too many callers; try again in a minute.")
