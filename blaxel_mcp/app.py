"""What a server, or a command that does without one, works with: the parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from blaxel_mcp.call_store import CallStore
from blaxel_mcp.calls import Calls
from blaxel_mcp.catalog_cache import catalog_cache
from blaxel_mcp.client import APIClient
from blaxel_mcp.controlplane import ControlPlane
from blaxel_mcp.discovery import Discovery
from blaxel_mcp.inference import Inference
from blaxel_mcp.model_listing import ModelListing
from blaxel_mcp.retry import Backoff
from blaxel_mcp.settings_sources import Configuration
from blaxel_mcp.spending import Spending

if TYPE_CHECKING:
    # For the annotations alone: the HTTP library is imported where it is used, in `auth` and `client`.
    import httpx

_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class App:
    """The parts. Nothing is connected before `running`.

    Attributes:
        client: Owns the connections.
        discovery: Knows the models.
        inference: Calls them.
        listing: Lists them.
        calls: Those in flight.
        store: The whole answers of those that are over.
        spending: What they have taken, and may take.
    """

    config: Configuration
    client: APIClient
    control_plane: ControlPlane
    discovery: Discovery
    inference: Inference
    listing: ModelListing
    calls: Calls
    store: CallStore
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
        """Keep the catalog up to date and let calls run while the context lasts; stop everything at its end."""
        async with self.connected(), self.store, self.calls.running(), anyio.create_task_group() as group:
            group.start_soon(self.discovery.run)
            try:
                yield
            finally:
                group.cancel_scope.cancel()


def build_app(
    config: Configuration, *, transport: "httpx.AsyncBaseTransport | None" = None, backoff: Backoff = _BACKOFF
) -> App:
    """Put the parts together.

    Args:
        config: The settings and the login file.
        transport: Carries the requests in place of the network.
        backoff: How the waits between attempts pass.

    Raises:
        ConfigurationError: a configured model cannot become a tool.
    """
    settings = config.settings
    client = APIClient(config, transport=transport)
    control_plane = ControlPlane(client, settings)
    spending = Spending(settings)
    discovery = Discovery(settings, control_plane, cache=catalog_cache(settings))
    return App(
        config=config,
        client=client,
        control_plane=control_plane,
        discovery=discovery,
        inference=Inference(client, control_plane, settings, spending, backoff=backoff),
        listing=ModelListing(discovery, control_plane, client.auth, settings),
        calls=Calls(),
        store=CallStore(),
        spending=spending,
    )
