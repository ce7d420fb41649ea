"""What a server, or a command that does without one, works with: the parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from blaxel_mcp.catalog.cache import catalog_cache
from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.discovery import Discovery
from blaxel_mcp.catalog.listing import ModelListing
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.inference.inference import Inference
from blaxel_mcp.inference.limits import CallLimits
from blaxel_mcp.inference.retry import RetryClock
from blaxel_mcp.inference.spending import Spending
from blaxel_mcp.settings.loading import Configuration

if TYPE_CHECKING:
    # For the annotations alone: the HTTP library is imported where it is used, in `auth` and `client`.
    import httpx

_BACKOFF = RetryClock()


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts. Nothing is connected before `running`.

    Attributes:
        client: Owns the connections.
        discovery: Knows the models.
        inference: Calls them.
        listing: Lists them.
        spending: What they have taken, and may take.
    """

    config: Configuration
    client: APIClient
    control_plane: ControlPlane
    discovery: Discovery
    inference: Inference
    listing: ModelListing
    spending: Spending

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Let single calls be made while the context lasts, and close what they opened."""
        async with self.client:
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self.spending.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let calls be made and keep the catalog up to date while the context lasts."""
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
    limits: CallLimits | None = None,
    cached: bool = True,
    transport: "httpx.AsyncBaseTransport | None" = None,
    backoff: RetryClock = _BACKOFF,
) -> Runtime:
    """Put the parts together.

    Args:
        config: The settings and the login file.
        account: Whose calls are counted in the ledger; empty for the user's own.
        limits: Gives the calls their turns; None for those that the settings name.
        cached: Whether the list of models is kept on disk.
        transport: Carries the requests in place of the network.
        backoff: How the waits between attempts pass.

    Raises:
        ConfigurationError: a configured model cannot become a tool.
    """
    settings = config.settings
    client = APIClient(config, transport=transport)
    control_plane = ControlPlane(client, settings)
    spending = Spending(settings, account=account)
    discovery = Discovery(settings, control_plane, cache=catalog_cache(settings) if cached else None)
    turns = limits or CallLimits(settings.limits)
    return Runtime(
        config=config,
        client=client,
        control_plane=control_plane,
        discovery=discovery,
        inference=Inference(client, control_plane, settings, spending, limits=turns, backoff=backoff),
        listing=ModelListing(discovery, control_plane, client.auth, settings),
        spending=spending,
    )
