"""Refreshes the model catalog in the background.

No call waits for the control plane: the last list serves until there is a newer one. Each workspace is listed by
itself, so one that fails leaves the others as they are.
"""

import errno
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

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

NO_WORKSPACE = "No Blaxel workspace is set, so its models were not looked for."
SET_WORKSPACE = (
    "Set BL_WORKSPACE in the server's environment, or `workspace` in the settings file, or run `bl login WORKSPACE`."
)

OnChange = Callable[[], Awaitable[None]]


def lists_models(settings: Settings) -> bool:
    """Return whether models are discovered: by default if workspaces are named for it, or without `[[models]]`."""
    enabled = settings.discovery.enabled
    return bool(settings.discovery.workspaces or not settings.models) if enabled is None else enabled


@dataclass(slots=True, eq=False)
class _Workspace:
    """A workspace whose models are listed; a name of None stands for the one that is not set.

    `failure` says why its list is not up to date.
    """

    name: str | None
    cache: CatalogCache | None = None
    failure: str | None = None


class Discovery:
    """Holds the current catalog, and lists the models of the workspaces if the settings ask for it.

    The `caches` save the last list of each workspace that has one. `now` is in seconds since the epoch.

    Raises:
        ConfigurationError: A configured model cannot become a tool.

    Attributes:
        enabled: Whether models are listed.
        catalog: The current catalog.
        snapshots: The last list of each workspace that has one, by name.
    """

    def __init__(
        self,
        settings: Settings,
        control_plane: ControlPlane,
        *,
        caches: Mapping[str, CatalogCache | None] = MappingProxyType({}),
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.enabled = lists_models(settings)
        self.catalog = build_catalog(settings)
        self.snapshots: dict[str | None, ModelSnapshot] = {}
        self._settings = settings
        self._control_plane = control_plane
        self._workspaces = [_Workspace(name, caches.get(name)) for name in settings.listed_workspaces]
        self._workspaces = self._workspaces or [_Workspace(None)]
        self._now = now
        self._sleep = sleep
        self._listeners: list[OnChange] = []
        self._refreshing = anyio.Lock()
        self._applying = anyio.Lock()
        self._ready = anyio.Event()

    @property
    def problem(self) -> str | None:
        """Why the list is not up to date, one or two sentences for each workspace that fails; None if it is."""
        problems = []
        for workspace in self._workspaces:
            if workspace.failure:
                problems.append(workspace.failure)
                if snapshot := self.snapshots.get(workspace.name):
                    problems.append(f"The list of {_utc(snapshot.listed_at)} serves meanwhile.")
        return " ".join(problems) or None

    @property
    def is_ready(self) -> bool:
        """Whether the first list is there, or has been waited for long enough."""
        return self._ready.is_set()

    def on_change(self, listener: OnChange) -> None:
        """Call `listener` after each change of the catalog."""
        self._listeners.append(listener)

    def adopt(self, snapshots: Iterable[ModelSnapshot]) -> None:
        """Start with the lists of another discovery, so that its models do not disappear for a moment.

        A list of another workspace or control plane is ignored.
        """
        names = {workspace.name for workspace in self._workspaces} if self.enabled else ()
        ours = [s for s in snapshots if s.workspace in names and s.api_url == self._settings.api_url]
        for snapshot in ours:
            self._control_plane.seed(snapshot.workspace, snapshot.records)
        if ours:
            self.snapshots = {**self.snapshots, **{snapshot.workspace: snapshot for snapshot in ours}}
            self.catalog = self._build(self.snapshots)
        self._check_ready()

    def load_cache(self) -> None:
        """Use the lists that an earlier process saved, if there are any; nothing is sent. It blocks meanwhile."""
        if self.enabled:
            self.adopt(filter(None, (workspace.cache.load() for workspace in self._workspaces if workspace.cache)))

    async def wait_ready(self, seconds: float = FIRST_LIST_SECONDS) -> None:
        """Wait for the first list of each workspace, from the cache or the control plane, for some seconds at most.

        After one wait has taken that long, no later one waits.
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
        for workspace in self._workspaces:
            await self._attempt(self._load, workspace)
        self._check_ready()
        while True:
            await self.refresh()
            seconds = self._settings.discovery.refresh_seconds
            await self._sleep(seconds if self.problem is None else min(seconds, FAILURE_SECONDS))

    async def refresh(self) -> None:
        """List the models now. After a failure, only `problem` has changed.

        A workspace whose list is fresh is not asked again while another one fails.
        """
        if not self.enabled:
            return
        async with self._refreshing, anyio.create_task_group() as group:
            for workspace in self._workspaces:
                if self.problem is None or workspace.failure or not self._is_fresh(workspace):
                    group.start_soon(self._attempt, self._list, workspace)
        self._ready.set()

    async def read(self) -> None:
        """List the models now, for a command that ends if no workspace can be listed.

        Raises:
            BlaxelError: There is no workspace, or the models of none can be listed.
        """
        failures: dict[_Workspace, BlaxelError] = {}
        async with self._refreshing:
            for workspace in self._workspaces:
                try:
                    await self._list(workspace)
                except BlaxelError as error:
                    failures[workspace] = error
        self._ready.set()
        if len(failures) == len(self._workspaces):
            raise next(iter(failures.values()))
        for workspace, failure in failures.items():
            self._record_failure(workspace, failure)

    def _check_ready(self) -> None:
        if len(self.snapshots) == len(self._workspaces):
            self._ready.set()

    async def _load(self, workspace: _Workspace) -> None:
        snapshot = await anyio.to_thread.run_sync(workspace.cache.load) if workspace.cache else None
        if snapshot is not None:
            self._control_plane.seed(snapshot.workspace, snapshot.records)
            await self._apply(snapshot)

    async def _list(self, workspace: _Workspace) -> None:
        if workspace.name is None:
            raise ConfigurationError(NO_WORKSPACE, hint=SET_WORKSPACE)
        records = tuple(await self._control_plane.list_models(workspace.name))
        snapshot = ModelSnapshot(self._settings.api_url, workspace.name, self._now(), records)
        await self._apply(snapshot)
        workspace.failure = None
        if workspace.cache is not None:
            await self._save(workspace.cache, snapshot)

    def _is_fresh(self, workspace: _Workspace) -> bool:
        snapshot = self.snapshots.get(workspace.name)
        age = self._now() - snapshot.listed_at if snapshot else math.inf
        # After the clock was set back, an age is negative.
        return 0 <= age < self._settings.discovery.refresh_seconds

    async def _attempt(self, update: Callable[[_Workspace], Awaitable[None]], workspace: _Workspace) -> None:
        """Update a workspace; an error becomes its current problem, and does not end the server."""
        try:
            await update(workspace)
        except Exception as error:  # noqa: BLE001 - it is recorded
            self._record_failure(workspace, error)

    def _record_failure(self, workspace: _Workspace, error: Exception) -> None:
        about = f" of workspace {workspace.name}" if workspace.name else ""
        problem = f"The models{about} could not be listed at {_utc(self._now())}"
        if isinstance(error, BlaxelError):
            # One warning for each outage.
            level = logging.WARNING if workspace.failure is None else logging.DEBUG
            logger.log(level, "no list of the models%s: %s", about, error)
            is_ours = isinstance(error, ConfigurationError)
            workspace.failure = str(error) if is_ours else f"{problem}: {describe_failure(error)}."
        else:
            logger.error("listing the models%s failed", about, exc_info=error)
            workspace.failure = f"{problem}; the server's log says why."

    def _build(self, snapshots: Mapping[str | None, ModelSnapshot]) -> Catalog:
        records = {w.name: snapshots[w.name].records for w in self._workspaces if w.name in snapshots}
        first = records.pop(self._workspaces[0].name, ())
        return build_catalog(self._settings, first, {name: listed for name, listed in records.items() if name})

    async def _apply(self, snapshot: ModelSnapshot) -> None:
        """Build the catalog with a list, and notify the listeners if it has changed."""
        async with self._applying:
            previous, catalog = self.snapshots.get(snapshot.workspace), self.catalog
            snapshots = {**self.snapshots, snapshot.workspace: snapshot}
            if previous is None or previous.records != snapshot.records:
                # Hundreds of entries take a while to build.
                catalog = await anyio.to_thread.run_sync(self._build, snapshots)
            is_changed, self.snapshots, self.catalog = catalog != self.catalog, snapshots, catalog
        for listener in tuple(self._listeners) if is_changed else ():
            try:
                await listener()
            except Exception:
                # A disconnected client must not keep the change from the next one.
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
