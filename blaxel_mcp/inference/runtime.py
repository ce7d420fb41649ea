"""Builds the parts that call models from a configuration, for a server or a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from blaxel_mcp.budget.prices import listed_price
from blaxel_mcp.catalog.cache import catalog_cache
from blaxel_mcp.catalog.catalog import EntriesError
from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.discovery import Discovery
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.listing import ModelListing
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.inference.audit import Audit
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.observers import CallObserver, ObservedInference
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.loading import Configuration

if TYPE_CHECKING:
    # Only for annotations: `client` is the package that imports the HTTP library.
    import httpx

    from blaxel_mcp.inference.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Dependencies of a runtime that do not come from its settings; None for the network, and for no telemetry."""

    transport: "httpx.AsyncBaseTransport | None" = None
    clock: RetryClock = field(default_factory=RetryClock)
    telemetry: "Telemetry | None" = None


_DEFAULT = Environment()


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that call models. Nothing is connected before `connected` or `running`."""

    config: Configuration
    client: APIClient
    control_plane: ControlPlane
    discovery: Discovery
    inference: Inference
    listing: ModelListing
    spending: Spending

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Allow calls while the context lasts, then close what they opened."""
        async with self.client:
            # At once, so that the ledger outlives the previous settings.
            self.spending.ledger.open()
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self.spending.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Allow calls and keep the catalog up to date while the context lasts."""
        async with self.connected(), anyio.create_task_group() as group:
            group.start_soon(self.discovery.run)
            try:
                yield
            finally:
                group.cancel_scope.cancel()


def build_runtime(
    config: Configuration,
    *,
    account: str = "",
    caller: str = "",
    shares_account: bool = False,
    limits: CallLimits | None = None,
    cached: bool = True,
    environment: Environment = _DEFAULT,
) -> Runtime:
    """Put the parts together.

    Args:
        config: The settings and the login file.
        account: Whose calls the ledger counts; empty for the user's own.
        caller: The caller's identity, for the audit file and its own usage; empty for the user.
        shares_account: Whether other callers are counted in the same account.
        limits: Concurrency and rate limits shared with other runtimes; None for those of the settings.
        cached: Whether the list of models is kept on disk.
        environment: Replaces the network and the clock.

    Raises:
        ConfigurationError: A configured model cannot become a tool, or the audit file cannot be written.
    """
    settings = config.settings
    client = APIClient(config, transport=environment.transport)
    control_plane = ControlPlane(client, settings)
    spending = Spending(settings, account=account, caller=caller if shares_account else "")
    caches = {name: catalog_cache(settings, name) for name in settings.listed_workspaces if cached}
    try:
        discovery = Discovery(settings, control_plane, caches=caches)
    except EntriesError as error:
        raise config.entries_error(error.problems) from None

    def price_of(entry: CatalogEntry, record: ModelRecord | None) -> JSONObject:
        runtime_type, provider_model = (record.runtime_type, record.provider_model) if record else (None, None)
        return listed_price(entry.settings.price, runtime_type, provider_model, table=settings.prices == "table")

    limits = limits or CallLimits(settings.limits)
    audit = settings.audit
    observers: list[CallObserver] = [Audit(audit.file, audit.max_bytes, caller)] if audit.file else []
    if environment.telemetry is not None:
        # Only here: the commands that call no model over MCP do not import OpenTelemetry.
        from blaxel_mcp.inference.telemetry import CallTelemetry  # noqa: PLC0415

        environment.telemetry.watch(limits, spending)
        observers.insert(0, CallTelemetry(environment.telemetry))
    # Without observers, a call runs nothing for them.
    kind = ObservedInference if observers else Inference
    inference = kind(client, control_plane, settings, spending, limits=limits, clock=environment.clock)
    if isinstance(inference, ObservedInference):
        inference.observers = observers
    return Runtime(
        config=config,
        client=client,
        control_plane=control_plane,
        discovery=discovery,
        inference=inference,
        listing=ModelListing(discovery, control_plane, client.auth, settings, price_of),
        spending=spending,
    )
