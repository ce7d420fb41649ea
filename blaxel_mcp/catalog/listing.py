"""The models as an agent or a person sees them: what can be called, how, and in what state it is."""

from collections.abc import Sequence
from typing import Any

import anyio

from blaxel_mcp.catalog.control_plane import ControlPlane, Lookup
from blaxel_mcp.catalog.discovery import Discovery
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.auth import Authenticator
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.schema import Settings

PAGE = 50
"""Models in one page."""

_LISTING_SECONDS = 8.0
"""How long a listing waits for the control plane; what has not come by then is shown without its state."""

_LOOKUPS_AT_ONCE = 8


class ModelListing:
    """Lists the models of one server.

    Args:
        discovery: Knows the models with a tool of their own.
        control_plane: Says in what state they are.
        auth: Names the source of the credentials.
        settings: The workspace and the limits.

    Attributes:
        notice: What else the reader of a listing should know, in a sentence or two; None for nothing.
    """

    def __init__(
        self, discovery: Discovery, control_plane: ControlPlane, auth: Authenticator, settings: Settings
    ) -> None:
        self._discovery = discovery
        self._control_plane = control_plane
        self._auth = auth
        self._settings = settings
        self.notice: str | None = None

    async def page(self, *, query: str = "", offset: int = 0, limit: int = PAGE) -> dict[str, Any]:
        """One page of the models whose name, tool, title or description holds `query`, ignoring case.

        Returns:
            `models`, `total`, `next_offset` (null on the last page), `workspace`, `credentials` (the name
            of their source, null for none) and `notes` on what could not be found out.
        """
        await self._discovery.wait_ready()
        found = [entry for entry in self._discovery.catalog.entries if _matches(entry, query)]
        shown = found[offset : offset + limit]
        lookups = await self._lookups(shown)
        end = offset + len(shown)
        workspace = self._settings.workspace
        return {
            "models": [self._row(entry, lookup) for entry, lookup in zip(shown, lookups, strict=True)],
            "total": len(found),
            "next_offset": end if end < len(found) else None,
            "workspace": workspace,
            "credentials": self._auth.for_workspace(workspace or "").source,
            "notes": self._notes(lookups),
        }

    def _notes(self, lookups: Sequence[Lookup]) -> list[str]:
        found = sorted({lookup.problem for lookup in lookups if lookup.problem})
        return [*filter(None, (self.notice, self._discovery.problem)), *found]

    async def _lookups(self, entries: Sequence[CatalogEntry]) -> list[Lookup]:
        found = [Lookup(None, "the control plane did not answer in time")] * len(entries)
        limiter = anyio.CapacityLimiter(_LOOKUPS_AT_ONCE)

        async def look_up(index: int, entry: CatalogEntry) -> None:
            async with limiter:
                found[index] = await self.look_up(entry)

        with anyio.move_on_after(_LISTING_SECONDS):
            async with anyio.create_task_group() as group:
                for index, entry in enumerate(entries):
                    group.start_soon(look_up, index, entry)
        return found

    async def look_up(self, entry: CatalogEntry) -> Lookup:
        """What the control plane says of a model, or a sentence on why it says nothing."""
        workspace = entry.settings.workspace or self._settings.workspace
        if workspace is None:
            return Lookup(None, "no workspace is set")
        try:
            return await self._control_plane.find(workspace, entry.name)
        except ConfigurationError as error:
            return Lookup(None, error.message)

    def _row(self, entry: CatalogEntry, lookup: Lookup) -> dict[str, Any]:
        record = lookup.record
        return {
            "name": entry.name,
            "workspace": entry.settings.workspace or self._settings.workspace,
            "tool": entry.tool,
            "api": entry.api.name,
            "path": "/" if entry.path == "" else entry.path,
            "title": entry.title,
            "description": entry.description,
            "type": record.runtime_type if record else None,
            "provider_model": record.provider_model if record else None,
            "status": record.status if record else None,
            "timeout_seconds": entry.settings.timeout_seconds or self._settings.limits.timeout_seconds,
        }


def _matches(entry: CatalogEntry, query: str) -> bool:
    wanted = query.casefold()
    return any(wanted in text.casefold() for text in (entry.name, entry.tool, entry.title, entry.description))
