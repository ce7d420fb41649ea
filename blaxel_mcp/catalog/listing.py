"""The models as `list_models` and `blaxel-mcp models` show them: how each is called, and its state."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread

from blaxel_mcp.catalog.control_plane import ControlPlane, Lookup
from blaxel_mcp.catalog.discovery import Discovery
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.client.auth import Authenticator
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.settings.schema import Settings

MODELS_PER_PAGE = 50
MODELS_WITH_SCHEMA = 3
"""A page of at most this many models has the complete schema of each."""

_LOOKUPS_SECONDS = 8.0
"""How long a page waits for the control plane; models without an answer by then are shown without their state."""

_CONCURRENT_LOOKUPS = 8

PriceOf = Callable[[CatalogEntry, ModelRecord | None], JSONObject]
"""Returns `price` and `price_source` of a row; it may block for a moment."""


class ModelListing:
    """Lists the models of one server. `notice` is one or two more sentences for the notes of each page."""

    def __init__(
        self,
        discovery: Discovery,
        control_plane: ControlPlane,
        auth: Authenticator,
        settings: Settings,
        price_of: PriceOf,
    ) -> None:
        self._discovery = discovery
        self._control_plane = control_plane
        self._auth = auth
        self._settings = settings
        self._price_of = price_of
        self.notice: str | None = None

    async def page(self, *, query: str = "", offset: int = 0, limit: int = MODELS_PER_PAGE) -> dict[str, Any]:
        """Return one page of the models whose name, tool, title or description contains `query`, ignoring case.

        Returns:
            `models`, `total`, `next_offset` (null on the last page), `workspace`, `credentials` (the name
            of their source, null for none) and `notes` on information that is missing.
        """
        await self._discovery.wait_ready()
        folded = query.casefold()
        matches = [
            entry
            for entry in self._discovery.catalog.entries
            if any(folded in text.casefold() for text in (entry.name, entry.tool, entry.title, entry.description))
        ]
        entries = matches[offset : offset + limit]
        lookups = await self._look_up_all(entries)
        problems = sorted({lookup.problem for lookup in lookups if lookup.problem})
        end = offset + len(entries)
        rows = await anyio.to_thread.run_sync(lambda: list(map(self._row, entries, lookups)))
        if len(rows) <= MODELS_WITH_SCHEMA:
            rows = [{**row, "input_schema": entry.schema.full} for row, entry in zip(rows, entries, strict=True)]
        return {
            "models": rows,
            "total": len(matches),
            "next_offset": end if end < len(matches) else None,
            "workspace": self._settings.workspace,
            "credentials": self._auth.for_workspace(self._settings.workspace or "").source,
            "notes": [*filter(None, (self.notice, self._discovery.problem)), *problems],
        }

    async def look_up(self, entry: CatalogEntry) -> Lookup:
        """Return a model's record, or a phrase on why there is none."""
        workspace = self._discovery.catalog.workspace_of(entry)
        if workspace is None:
            return Lookup(None, "no workspace is set")
        try:
            return await self._control_plane.find(workspace, entry.name)
        except ConfigurationError as error:
            return Lookup(None, error.message)

    async def _look_up_all(self, entries: Sequence[CatalogEntry]) -> list[Lookup]:
        lookups = [Lookup(None, "the control plane did not answer in time")] * len(entries)
        limiter = anyio.CapacityLimiter(_CONCURRENT_LOOKUPS)

        async def look_up(index: int, entry: CatalogEntry) -> None:
            async with limiter:
                lookups[index] = await self.look_up(entry)

        with anyio.move_on_after(_LOOKUPS_SECONDS):
            async with anyio.create_task_group() as group:
                for index, entry in enumerate(entries):
                    group.start_soon(look_up, index, entry)
        return lookups

    def _row(self, entry: CatalogEntry, lookup: Lookup) -> dict[str, Any]:
        record = lookup.record
        return {
            "name": entry.name,
            "workspace": self._discovery.catalog.workspace_of(entry),
            "tool": self._settings.tools.tool_of(entry.tool, entry.api.name),
            "api": entry.api.name,
            "path": "/" if entry.path == "" else entry.path,
            "title": entry.title,
            "description": entry.description,
            "type": record.runtime_type if record else None,
            "provider_model": record.provider_model if record else None,
            "status": record.status if record else None,
            "timeout_seconds": entry.settings.timeout_seconds or self._settings.limits.timeout_seconds,
            **self._price_of(entry, record),
        }
