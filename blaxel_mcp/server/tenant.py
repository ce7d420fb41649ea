"""What one caller is served with: its models as tools and resources, its calls in flight, and its answers."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
from mcp.server.context import ServerRequestContext

from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.server.list_changed import ToolChanges
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.tools.calls import CallRegistry, Report
from blaxel_mcp.tools.cancel_call import cancel_call_tool, handle_result
from blaxel_mcp.tools.list_models import list_models_tool
from blaxel_mcp.tools.model_tools import model_tools
from blaxel_mcp.tools.read_result import read_result_tool
from blaxel_mcp.tools.registry import Tool, ToolRegistry
from blaxel_mcp.tools.resources import Resources
from blaxel_mcp.tools.results.policy import base_policy
from blaxel_mcp.tools.run_model import run_model_tool
from blaxel_mcp.tools.store.store import CallStore

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
BuildApp = Callable[[Configuration], Runtime]


@dataclass(slots=True, eq=False)
class _Part:
    """An app in use, until other settings take its place."""

    app: Runtime
    retired: anyio.Event = field(default_factory=anyio.Event)


class Tenant:
    """One caller's service. The settings may change while it runs; calls and answers outlive that.

    Args:
        config: The settings to begin with.
        build: Puts the parts for a configuration together.
        shared_answers: A folder in which other processes of the same server find this caller's answers; None for none.

    Raises:
        ConfigurationError: a configured model cannot become a tool.
    """

    def __init__(self, config: Configuration, build: BuildApp, *, shared_answers: Path | None = None) -> None:
        self._build = build
        self.calls = CallRegistry()
        self.store = CallStore(shared=shared_answers)
        self.changes = ToolChanges()
        self._toolbox = ToolRegistry(self.calls)
        self._group: anyio.abc.TaskGroup | None = None
        self._take(_Part(build(config)))

    @property
    def app(self) -> Runtime:
        """The parts in use now."""
        return self._part.app

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the context lasts; at its end the calls are stopped, then what they were made over is closed."""
        async with self.store, anyio.create_task_group() as group:
            self._group = group
            try:
                async with self.calls.running():
                    await group.start(self._keep, self._part)
                    yield
            finally:
                self._part.retired.set()
                self._group = None

    async def reconfigure(self, config: Configuration) -> None:
        """Take other settings from now on; calls in flight end under those that they began with.

        Raises:
            ConfigurationError: they cannot be used, and nothing has changed.
        """
        assert self._group is not None, "a service is reconfigured inside of `running`"
        part = _Part(self._build(config))
        if known := self.app.discovery.known:
            part.app.discovery.take_over(known)
        await self._group.start(self._keep, part)
        await part.app.discovery.wait_ready()
        before, shown = self._part, self._toolbox.definitions
        self._take(part)
        before.retired.set()
        if self._toolbox.definitions != shown:
            await self.changes.announce()

    async def list_tools(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Every tool."""
        await self.app.discovery.wait_ready()
        return types.ListToolsResult(tools=self._toolbox.definitions)

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a tool, and tell the client of progress where it asked to be told.

        Raises:
            MCPError: there is no such tool.
        """
        # A client that knows the tools from before may call one at once.
        await self.app.discovery.wait_ready()
        return await self._toolbox.call(params.name, params.arguments, _report(context))

    def _take(self, part: _Part) -> None:
        self._part = part
        app = part.app
        app.discovery.on_change(partial(self._renew, part))
        self.resources = Resources(
            lambda: app.discovery.catalog, self.store, app.config.settings, app.listing.look_up, app.spending
        )
        self._fill()

    async def _renew(self, part: _Part) -> None:
        if part is self._part:
            self._fill()
            await self.changes.announce()

    def _fill(self) -> None:
        settings = self.app.config.settings
        handed_back = "read_result" in settings.tools.builtin
        self._toolbox.replace(
            self._tools(),
            detach_after=settings.limits.detach_after_seconds if handed_back else 0,
            handle=partial(handle_result, calls=self.calls, prefix=settings.tools.prefix),
            longest_part=settings.limits.max_result_chars,
        )

    def _tools(self) -> list[Tool]:
        app, settings = self.app, self.app.config.settings
        policy, catalog, prefix = base_policy(settings, self.store), app.discovery.catalog, settings.tools.prefix
        longest_wait = settings.limits.detach_after_seconds
        builtin = {
            "run_model": run_model_tool(catalog, app.inference, policy, prefix=prefix),
            "list_models": list_models_tool(app.listing, prefix=prefix),
            "read_result": read_result_tool(policy, self.calls, prefix=prefix, longest_wait=longest_wait),
            "cancel_call": cancel_call_tool(self.calls, prefix=prefix),
        }
        tools = model_tools(catalog, app.inference, policy, most=settings.tools.max_tools)
        return [*tools, *(tool for name, tool in builtin.items() if name in settings.tools.builtin)]

    async def _keep(self, part: _Part, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep an app running until it is retired and no call goes over it any more."""
        # Whoever cancels the service cancels its calls; the connections are closed after them, and not at once.
        with anyio.CancelScope(shield=True):
            async with part.app.running():
                task_status.started()
                await part.retired.wait()
                for call in self.calls.in_flight:
                    await call.done.wait()


def _report(context: Context) -> Report | None:
    """How the client of a request is told of its progress; None if it did not ask to be."""
    if not (context.meta and context.meta.get("progress_token") is not None):
        return None

    async def report(progress: float, message: str) -> None:
        await context.session.report_progress(progress, message=message)

    return report
