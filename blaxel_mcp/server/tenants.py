"""Per-caller state, created on a caller's first request and evicted when idle.

Over stdio there is one caller, the user. Over HTTP there may be many. The models, answers, handles and budget of each
are in a tenant of its own, so no lookup can reach those of another.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import mcp_types as types
from mcp import MCPError

from blaxel_mcp.budget.ledger import ledgers_kept
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import OWNER, Caller
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.settings.loading import Configuration

MAX_TENANTS = 200
IDLE_SECONDS = 3600.0
"""How many callers are served at once, and how long an idle tenant is kept: as long as its answers."""

_USES_OWNERS_KEY = (None, "platform")
"""The values of `http.auth` under which every caller spends the owner's credentials."""


class Tenants:
    """The tenants of a server.

    Args:
        config: The settings.
        environment: What replaces the network and the clock of the tenants' runtimes.
        now: A monotonic clock, in seconds.
        limit: How many callers are served at once.
        shared_answers: A folder in which other processes of the same server find the answers; None for none.

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
        shared_answers: Path | None = None,
    ) -> None:
        self._config = config
        self._environment = environment
        self._now = now
        self._limit = limit
        self._shared_answers = shared_answers
        self._limits = CallLimits(config.settings.limits)
        self._tenants: dict[str, Tenant] = {}
        self._creating = anyio.Lock()
        self._group: anyio.abc.TaskGroup | None = None
        self._problem: str | None = None
        # Built at once, so that wrong settings are reported before the first caller comes.
        self._owner = self._new(OWNER)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the context lasts; the owner's tenant is there from the beginning."""
        async with ledgers_kept(), anyio.create_task_group() as group:
            self._group = group
            try:
                if self._config.settings.http.auth in _USES_OWNERS_KEY:
                    await self._admit(self._owner)
                yield
            finally:
                for tenant in self._tenants.values():
                    tenant.evicted.set()
                self._group = None

    async def of(self, caller: Caller) -> Tenant:
        """Return the tenant of a caller, created now if needed.

        Raises:
            MCPError: Too many callers are served already.
        """
        if caller.identity not in self._tenants:
            async with self._creating:
                if caller.identity not in self._tenants:
                    self._make_room()
                    await self._admit(self._new(caller))
        tenant = self._tenants[caller.identity]
        tenant.last_used = self._now()
        return tenant

    async def reconfigure(self, config: Configuration) -> None:
        """Apply other settings to every tenant.

        Raises:
            ConfigurationError: They cannot be used, and nothing has changed.
        """
        async with self._creating:
            previous = self._config, self._limits
            self._config, self._limits = config, CallLimits(config.settings.limits)
            try:
                self._new(OWNER)
                for tenant in list(self._tenants.values()):
                    await tenant.reconfigure(config, self._limits)
            except ConfigurationError:
                self._config, self._limits = previous
                raise
            self.notify(None)

    def notify(self, problem: str | None) -> None:
        """Set the notice on the settings file that `list_models` shows; None clears it."""
        self._problem = problem
        for tenant in self._tenants.values():
            tenant.notify(problem)

    def _new(self, caller: Caller) -> Tenant:
        # A name that reveals nothing about the caller, and that no caller can choose.
        name = hashlib.sha256(caller.identity.encode()).hexdigest()
        shared = self._shared_answers / name if self._shared_answers else None
        return Tenant(caller, self._config, self._limits, self._environment, shared_answers=shared)

    async def _admit(self, tenant: Tenant) -> None:
        assert self._group is not None, "callers are served inside `running`"
        tenant.last_used = self._now()
        tenant.notify(self._problem)
        await self._group.start(tenant.serve)
        self._tenants[tenant.caller.identity] = tenant

    def _make_room(self) -> None:
        """Evict idle tenants; if the server is still full, evict the lowest-priority idle one."""
        idle = {key: tenant for key, tenant in self._tenants.items() if not tenant.calls.in_flight}
        evicted = [key for key, tenant in idle.items() if self._now() - tenant.last_used > IDLE_SECONDS]
        if len(self._tenants) - len(evicted) >= self._limit:
            candidates = [key for key in idle if key not in evicted]
            if not candidates:
                raise MCPError(
                    code=types.INTERNAL_ERROR, message="The server has too many callers; try again in a minute."
                )
            # Tenants whose credentials never worked go first, so made-up keys displace no caller with a valid one.
            evicted.append(min(candidates, key=lambda key: (idle[key].is_proven, idle[key].last_used)))
        for key in evicted:
            self._tenants.pop(key).evicted.set()
