"""The input of the checks of one run, and the state that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.request import APIResponse
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.setup.install.installed import ClientState

_MAX_SERVERS = 2
"""Servers that start at the same time: each is a Python process, and more of them only slow each other down."""


@dataclass(slots=True, kw_only=True)
class CheckContext:
    """The set-up to check, and the results of one check that another one needs.

    Attributes:
        runtime: The runtime of a server with these settings; with default settings if these cannot be used.
        problem: Why the settings cannot be used; None if they can.
        variables: The environment variables.
        serve: The arguments of `blaxel-mcp` that start a server with these settings.
        named_file: The settings file that the command line or the environment names.
        servers: Limits how many servers start at the same time.
        answer: The control plane's response and the time it arrived, in seconds since the epoch.
        callable: The models whose checks did not fail.
        tool_list: The number of this server's tools, and their size in characters of JSON.
    """

    runtime: Runtime
    problem: ConfigurationError | None
    variables: Mapping[str, str] = field(repr=False)
    serve: tuple[str, ...] = ()
    named_file: Path | None = None
    clients: Sequence[ClientState] = ()
    servers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_MAX_SERVERS))
    answer: tuple[APIResponse, float] | None = None
    callable: list[CatalogEntry] = field(default_factory=list)
    tool_list: tuple[int, int] = (0, 0)

    @property
    def config(self) -> Configuration:
        """The settings and their sources."""
        return self.runtime.config

    @property
    def workspace(self) -> str:
        """The workspace; empty if none is set."""
        return self.config.settings.workspace or ""
