"""Refreshes the model catalog in the background.

No call waits for the control plane: the last list serves until there is a newer one.
"""

import errno
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread

from blaxel_mcp.catalog.cache import CatalogCache, ModelSnapshot
from blaxel_mcp.catalog.catalog import Catalog, build_catalog
from blaxel_mcp.catalog.control_plane import FAILURE_SECONDS, ControlPlane, describe_failure
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.settings.schema import Settings

logger = logging.getLogger(__name__)

FIRST_LIST_SECONDS = 1.5
"""How long a request for the tools waits for the first list: many clients ask only once."""

_NO_WORKSPACE = (
    "No Blaxel workspace is set, so its models were not looked for. Set BL_WORKSPACE in the server's environment, "
    "or `workspace` in the settings file, or run `bl login WORKSPACE`."
)

OnChange = Callable[[], Awaitable[None]]


def lists_models(settings: Settings) -> bool:
    """Return whether models are discovered: by default only if the settings have no `[[models]]`."""
    enabled = settings.discovery.enabled
    return not settings.models if enabled is None else enabled


class Discovery:
    """Holds the current catalog, and lists the models of the workspace if the settings ask for it.

    Args:
        settings: The configured models, and `discovery`.
        control_plane: Lists the models.
        cache: Saves the last list; None if it is not saved.
        now: The clock, in seconds since the epoch.
        sleep: Waits for the given number of seconds.

    Raises:
        ConfigurationError: A configured model cannot become a tool.

    Attributes:
        enabled: Whether models are listed.
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
        self.enabled = lists_models(settings)
        self._settings = settings
        self._control_plane = control_plane
        self._cache = cache
        self._now = now
        self._sleep = sleep
        self._catalog = build_catalog(settings)
        self._snapshot: ModelSnapshot | None = None
        self._failure: str | None = None
        self._listeners: list[OnChange] = []
        self._refreshing = anyio.Lock()
        self._ready = anyio.Event()

    @property
    def catalog(self) -> Catalog:
        """The current catalog."""
        return self._catalog

    @property
    def snapshot(self) -> ModelSnapshot | None:
        """The last list; None before the first."""
        return self._snapshot

    @property
    def problem(self) -> str | None:
        """Why the list is not up to date, in one or two sentences; None if it is."""
        if self._failure is None or self._snapshot is None:
            return self._failure
        return f"{self._failure} The list of {_utc(self._snapshot.listed_at)} serves meanwhile."

    @property
    def is_ready(self) -> bool:
        """Whether the first list is there, or has been waited for long enough."""
        return self._ready.is_set()

    def on_change(self, listener: OnChange) -> None:
        """Call `listener` after each change of the tools that clients are shown."""
        self._listeners.append(listener)

    def adopt(self, snapshot: ModelSnapshot) -> None:
        """Start with the list of another discovery, so that its models do not disappear for a moment.

        A list of another workspace or control plane is ignored.
        """
        if self.enabled and (snapshot.api_url, snapshot.workspace) == (
            self._settings.api_url,
            self._settings.workspace,
        ):
            self._snapshot, self._catalog = snapshot, build_catalog(self._settings, snapshot.records)
            self._control_plane.seed(snapshot.workspace, snapshot.records)
            self._ready.set()

    def load_cache(self) -> None:
        """Use the list that an earlier process saved, if there is one; nothing is sent. It blocks meanwhile."""
        if self.enabled and self._cache and (snapshot := self._cache.load()):
            self.adopt(snapshot)

    async def wait_ready(self, seconds: float = FIRST_LIST_SECONDS) -> None:
        """Wait for the first list, from the cache or the control plane.

        Args:
            seconds: The maximum wait. After one wait has taken that long, no later one waits.
        """
        if not self.enabled:
            return
        with anyio.move_on_after(seconds):
            await self._ready.wait()
        self._ready.set()

    async def run(self) -> None:
        """Refresh the catalog until cancelled; return at once if models are not listed."""
        if not self.enabled:
            return
        with self._recorded_failures():
            snapshot = await anyio.to_thread.run_sync(self._cache.load) if self._cache else None
            if snapshot is not None:
                self._control_plane.seed(snapshot.workspace, snapshot.records)
                await self._apply(snapshot)
                self._ready.set()
        while True:
            await self.refresh()
            seconds = self._settings.discovery.refresh_seconds
            await self._sleep(seconds if self._failure is None else min(seconds, FAILURE_SECONDS))

    async def refresh(self) -> None:
        """List the models now. After a failure, only `problem` has changed."""
        if not self.enabled:
            return
        async with self._refreshing:
            with self._recorded_failures():
                workspace = self._settings.workspace
                if workspace is None:
                    raise ConfigurationError(_NO_WORKSPACE)
                records = tuple(await self._control_plane.list_models(workspace))
                snapshot = ModelSnapshot(self._settings.api_url, workspace, self._now(), records)
                await self._apply(snapshot)
                self._failure = None
                if self._cache is not None:
                    await self._save(self._cache, snapshot)
            self._ready.set()

    @contextmanager
    def _recorded_failures(self) -> Iterator[None]:
        """Turn every error into the current problem; none of them ends the server."""
        try:
            yield
        except BlaxelError as error:
            # One warning for each outage.
            logger.log(logging.WARNING if self._failure is None else logging.DEBUG, "no list of models: %s", error)
            if isinstance(error, ConfigurationError):
                self._failure = str(error)
            else:
                where, when = f"The models of workspace {self._settings.workspace}", _utc(self._now())
                self._failure = f"{where} could not be listed at {when}: {describe_failure(error)}."
        except Exception:
            logger.exception("listing the models failed")
            self._failure = f"The models could not be listed at {_utc(self._now())}; the server's log says why."

    async def _apply(self, snapshot: ModelSnapshot) -> None:
        """Build the catalog of a list, and notify the listeners if clients are shown other tools now."""
        if self._snapshot is not None and self._snapshot.records == snapshot.records:
            self._snapshot = snapshot
            return
        # Hundreds of entries take a while to build.
        catalog = await anyio.to_thread.run_sync(build_catalog, self._settings, snapshot.records)
        self._snapshot = snapshot
        previous, self._catalog = self._catalog, catalog
        limit = self._settings.tools.max_tools
        if catalog.fingerprint(max_tools=limit) == previous.fingerprint(max_tools=limit):
            return
        for listener in list(self._listeners):
            try:
                await listener()
            except Exception:
                # A client that is gone must not keep the change from the next one.
                logger.exception("a client could not be notified that the tools have changed")

    async def _save(self, cache: CatalogCache, snapshot: ModelSnapshot) -> None:
        try:
            await anyio.to_thread.run_sync(partial(cache.save, snapshot.records, listed_at=snapshot.listed_at))
        except OSError as error:
            # A folder of another user's is worth a warning, a file system that is read-only is not.
            level = logging.WARNING if error.errno == errno.EPERM else logging.INFO
            logger.log(level, "the list of models could not be saved: %s", error)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
