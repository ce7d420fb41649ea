"""The services of a server: one for each who may call, made when they first do and gone some time after the last call.

Over stdio there is one caller, the user. Over HTTP there may be many, and what one of them has, its models,
answers, handles and budget, is in a service of its own that nobody else is led to.
"""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.abc
import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.server.callers import OWNER, Caller, caller_of
from blaxel_mcp.server.tenant import Tenant
from blaxel_mcp.settings.loading import Configuration, configuration
from blaxel_mcp.settings.schema import FileSettings

logger = logging.getLogger(__name__)

MAX_TENANTS = 200
IDLE_SECONDS = 3600.0
"""How many callers are served at once, and how long a service waits for its caller: as long as answers are kept."""

_OWNERS_KEY_IS_USED = (None, "platform")


class BuildApp(Protocol):
    """Puts the parts for one caller together."""

    def __call__(self, config: Configuration, *, account: str, limits: CallLimits | None, cached: bool) -> Runtime:
        """Put them together.

        Args:
            config: The settings and the credentials.
            account: Whose calls are counted in the ledger.
            limits: Gives the calls their turns; None for turns of their own.
            cached: Whether the list of models may be kept on disk.
        """


@dataclass(slots=True, eq=False)
class _Entry:
    tenant: Tenant
    caller: Caller
    used: float
    over: anyio.Event = field(default_factory=anyio.Event)


class Tenants:
    """The services of a server.

    Args:
        config: The settings.
        build: Puts the parts for one caller together.
        now: A monotonic clock, in seconds.
        most: How many callers are served at once.
        shared_answers: A folder in which other processes of the same server find the answers; None for none.
    """

    def __init__(
        self,
        config: Configuration,
        build: BuildApp,
        *,
        now: Callable[[], float] = time.monotonic,
        most: int = MAX_TENANTS,
        shared_answers: Path | None = None,
    ) -> None:
        self._config = config
        self._build = build
        self._now = now
        self._most = most
        self._shared_answers = shared_answers
        self._limits = CallLimits(config.settings.limits)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._making = anyio.Lock()
        self._group: anyio.abc.TaskGroup | None = None
        self._problem: str | None = None
        # What is wrong with the settings is told at once, and not to the first caller.
        self._first = self._new(OWNER)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the context lasts; the user's own service is there from the beginning."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                if self._config.settings.http.auth in _OWNERS_KEY_IS_USED:
                    await self._start(OWNER, self._first)
                yield
            finally:
                for entry in self._entries.values():
                    entry.over.set()
                self._group = None

    async def of(self, context: ServerRequestContext[Any, Any]) -> Tenant:
        """The service of whoever sent a request.

        Raises:
            MCPError: too many callers are served already.
        """
        return await self.of_caller(caller_of(context))

    async def of_caller(self, caller: Caller) -> Tenant:
        """The service of a caller, made now if need be.

        Raises:
            MCPError: too many callers are served already.
        """
        if caller.identity not in self._entries:
            async with self._making:
                if caller.identity not in self._entries:
                    self._make_room()
                    await self._start(caller, self._new(caller))
        entry = self._entries[caller.identity]
        entry.used = self._now()
        self._entries.move_to_end(caller.identity)
        return entry.tenant

    async def reconfigure(self, config: Configuration) -> None:
        """Take other settings, for everybody.

        Raises:
            ConfigurationError: they cannot be used, and nothing has changed.
        """
        async with self._making:
            earlier = self._config, self._limits
            self._config, self._limits = config, CallLimits(config.settings.limits)
            try:
                self._new(OWNER)
                for entry in list(self._entries.values()):
                    await entry.tenant.reconfigure(_configuration_for(config, entry.caller))
            except ConfigurationError:
                self._config, self._limits = earlier
                raise
            self.tell(None)

    def tell(self, problem: str | None) -> None:
        """Have the user told what is wrong with the settings file; None for nothing."""
        self._problem = problem
        for entry in self._entries.values():
            self._inform(entry.tenant, entry.caller)

    def _inform(self, tenant: Tenant, caller: Caller) -> None:
        # A caller with credentials of its own has no part in the settings.
        tenant.app.listing.notice = None if caller.credential else self._problem

    def _new(self, caller: Caller) -> Tenant:
        def build(config: Configuration) -> Runtime:
            foreign = caller.credential is not None
            return self._build(
                config,
                account=caller.identity if foreign else "",
                limits=None if foreign else self._limits,
                cached=not foreign,
            )

        # A name that says nothing of the caller, and that no caller can choose.
        name = hashlib.sha256(caller.identity.encode()).hexdigest()
        shared = self._shared_answers / name if self._shared_answers else None
        return Tenant(_configuration_for(self._config, caller), build, shared_answers=shared)

    async def _start(self, caller: Caller, tenant: Tenant) -> None:
        assert self._group is not None, "callers are served inside of `running`"
        entry = _Entry(tenant, caller, self._now())
        self._inform(tenant, caller)
        await self._group.start(self._run, entry)
        self._entries[caller.identity] = entry

    async def _run(self, entry: _Entry, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with entry.tenant.running():
            task_status.started()
            await entry.over.wait()

    def _make_room(self) -> None:
        """Let go of services that nobody has used for long, and the one with the least claim if they are too many."""
        idle = [key for key, entry in self._entries.items() if not entry.tenant.calls.in_flight]
        gone = [key for key in idle if self._now() - self._entries[key].used > IDLE_SECONDS]
        if len(self._entries) - len(gone) >= self._most:
            if len(idle) == len(gone):
                raise MCPError(
                    code=types.INTERNAL_ERROR, message="Too many callers are served already; try again in a minute."
                )
            gone.append(min((key for key in idle if key not in gone), key=self._claim))
        for key in gone:
            self._entries.pop(key).over.set()

    def _claim(self, key: str) -> tuple[bool, float]:
        """What its claim to a place goes by: keys that are made up take no place of a caller with a good one."""
        entry = self._entries[key]
        return entry.tenant.app.client.has_been_answered, entry.used


def _configuration_for(config: Configuration, caller: Caller) -> Configuration:
    """The settings for a caller: with credentials of its own, nothing of the user's is lent to it."""
    if caller.credential is None:
        return config
    own = {
        "workspace": caller.workspace,
        "api_key": caller.credential,
        "client_credentials": None,
        "api_key_command": None,
        "files": FileSettings(),
    }
    sources = {"api_key": "the caller's own X-Blaxel-Authorization"}
    return configuration(config.settings.model_copy(update=own), sources=sources)
