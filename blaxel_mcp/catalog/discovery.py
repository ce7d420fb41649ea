"""The catalog as it is now, kept up to date behind the back of whoever reads it.

Nobody waits for the control plane: the last good list serves until there is a newer one.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread

from blaxel_mcp.catalog.cache import CatalogCache
from blaxel_mcp.catalog.catalog import Catalog, build_catalog
from blaxel_mcp.catalog.control_plane import FAILURE_SECONDS, ControlPlane, describe_failure
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.settings.schema import Settings

logger = logging.getLogger(__name__)

FIRST_LIST_SECONDS = 1.5
"""How long a client that asks for the tools waits for the very first list: many ask only once."""

_NO_WORKSPACE = (
    "No Blaxel workspace is set, so its models were not looked for. Set BL_WORKSPACE in the server's environment, "
    "or `workspace` in the settings file, or run `bl login WORKSPACE`."
)

OnChange = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listed:
    """The models that a workspace was found to have, and when, in seconds since the epoch."""

    api_url: str
    workspace: str
    records: tuple[ModelRecord, ...]
    listed_at: float


def lists_models(settings: Settings) -> bool:
    """Whether models are listed: where the settings say so, or say nothing and name no model."""
    wanted = settings.discovery.enabled
    return not settings.models if wanted is None else wanted


class Discovery:
    """Holds the current catalog, and lists the models of the settings' workspace where the settings ask for it.

    Args:
        settings: The configured models, and `discovery` for whether, what and how often.
        control_plane: Lists the models.
        cache: Where the last good list is kept; None for nowhere.
        now: The clock, in seconds since the epoch.
        sleep: Waits for the given number of seconds.

    Raises:
        ConfigurationError: a configured model cannot become a tool.
    """

    def __init__(
        self,
        settings: Settings,
        control_plane: ControlPlane,
        *,
        cache: CatalogCache | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._settings = settings
        self._control_plane = control_plane
        self._cache = cache
        self._now = now
        self._sleep = sleep
        self._catalog = build_catalog(settings)
        self._known: Listed | None = None
        self._failure: str | None = None
        self._listeners: list[OnChange] = []
        self._refreshing = anyio.Lock()
        self._first = anyio.Event()

    @property
    def enabled(self) -> bool:
        """Whether models are listed."""
        return lists_models(self._settings)

    @property
    def catalog(self) -> Catalog:
        """The catalog as it is now."""
        return self._catalog

    @property
    def problem(self) -> str | None:
        """What stands in the way of an up-to-date list, in a sentence or two; None for nothing."""
        if self._failure is None or self._known is None:
            return self._failure
        return f"{self._failure} The list of {_utc(self._known.listed_at)} serves meanwhile."

    def on_change(self, listener: OnChange) -> None:
        """Have `listener` called each time that the tools which a client is shown have changed."""
        self._listeners.append(listener)

    @property
    def known(self) -> Listed | None:
        """What was listed last."""
        return self._known

    def take_over(self, listed: Listed) -> None:
        """Begin with a list that another one has, so that its models do not go and come back meanwhile."""
        if self.enabled and (listed.api_url, listed.workspace) == (self._settings.api_url, self._settings.workspace):
            self._known, self._catalog = listed, build_catalog(self._settings, listed.records)
            self._control_plane.recall(listed.workspace, listed.records)
            self._first.set()

    async def wait_ready(self, seconds: float = FIRST_LIST_SECONDS) -> None:
        """Wait until there is a first list, from the cache or the control plane, or there will be none.

        Args:
            seconds: The longest wait. Once it has been waited out, nobody waits any more.
        """
        if not self.enabled:
            return
        with anyio.move_on_after(seconds):
            await self._first.wait()
        self._first.set()

    async def run(self) -> None:
        """Keep the catalog up to date for as long as this runs; returns at once where nothing is to be listed."""
        if not self.enabled:
            return
        await self._attempt(self._recall)
        while True:
            await self.refresh()
            seconds = self._settings.discovery.refresh_seconds
            await self._sleep(seconds if self._failure is None else min(seconds, FAILURE_SECONDS))

    async def refresh(self) -> None:
        """List the models now. A failure changes nothing but `problem`."""
        if not self.enabled:
            return
        async with self._refreshing:
            await self._attempt(self._list)
            self._first.set()

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step; what goes wrong with it becomes the problem, and never ends the server."""
        try:
            await step()
        except BlaxelError as error:
            # An outage is news once.
            logger.log(logging.WARNING if self._failure is None else logging.DEBUG, "no list of models: %s", error)
            self._failure = self._sentence(error)
        except Exception:
            logger.exception("listing the models failed")
            self._failure = f"The models could not be listed at {_utc(self._now())}; the server's log says why."

    async def _recall(self) -> None:
        """Begin with the list of an earlier run."""
        workspace = self._settings.workspace
        if self._cache is None or workspace is None:
            return
        saved = await anyio.to_thread.run_sync(self._cache.load)
        if saved is not None:
            self._control_plane.recall(workspace, saved.records)
            await self._take(Listed(saved.api_url, workspace, saved.records, saved.saved_at))
            self._first.set()

    async def _list(self) -> None:
        workspace = self._settings.workspace
        if workspace is None:
            raise ConfigurationError(_NO_WORKSPACE)
        records = tuple(await self._control_plane.list_models(workspace))
        listed = Listed(self._settings.api_url, workspace, records, self._now())
        await self._take(listed)
        self._failure = None
        if self._cache is not None:
            await self._save(self._cache, listed)

    async def _take(self, listed: Listed) -> None:
        if self._known is not None and self._known.records == listed.records:
            self._known = listed
            return
        # Hundreds of entries take a while to make.
        catalog = await anyio.to_thread.run_sync(build_catalog, self._settings, listed.records)
        self._known = listed
        before, self._catalog = self._catalog, catalog
        most = self._settings.tools.max_tools
        if catalog.fingerprint(most=most) != before.fingerprint(most=most):
            await self._announce(self._listeners)

    async def _announce(self, listeners: Sequence[OnChange]) -> None:
        for listener in list(listeners):
            try:
                await listener()
            except Exception:
                # One client that is gone must not keep the news from the next.
                logger.exception("a client could not be told that the tools have changed")

    async def _save(self, cache: CatalogCache, listed: Listed) -> None:
        try:
            await anyio.to_thread.run_sync(partial(cache.save, listed.records, saved_at=listed.listed_at))
        except OSError as error:
            logger.info("the list of models could not be kept on disk: %s", error)

    def _sentence(self, error: BlaxelError) -> str:
        if isinstance(error, ConfigurationError):
            return str(error)
        workspace, when = self._settings.workspace, _utc(self._now())
        return f"The models of workspace {workspace} could not be listed at {when}: {describe_failure(error)}."


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
