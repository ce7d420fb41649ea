"""What the checks of one run go by, and what one of them learns for the others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.request import APIResponse
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.setup.doctor.handshake import Handshake
from blaxel_mcp.setup.install import FileProblem, InstalledEntry

_SERVERS_AT_ONCE = 2
"""Each is a Python that starts: more of them at once only make each other slow."""


@dataclass(slots=True)
class SharedState:
    """What a check learns that another one needs.

    Attributes:
        answer: What the control plane answered, and when, in seconds since the epoch.
        callable: The models that nothing speaks against calling.
        handshake: What this server answered to a client.
    """

    answer: tuple[APIResponse, float] | None = None
    callable: list[CatalogEntry] = field(default_factory=list)
    handshake: Handshake | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """The set-up that is looked at.

    Attributes:
        runtime: The parts of a server with these settings; where the settings cannot be used, of one with none.
        problem: Why the settings cannot be used; None where they can.
        variables: The environment variables.
        serve: The words after `blaxel-mcp` that start a server with these settings.
        named_file: The settings file that the command line or the environment names.
        installed: The entries of clients on this machine that start this server.
        broken_files: The clients' files that cannot be read.
        now: The clock, in seconds since the epoch.
        servers: Lets so many servers be started at once.
        shared: What the checks have learned so far.
    """

    runtime: Runtime
    problem: ConfigurationError | None
    variables: Mapping[str, str] = field(repr=False)
    serve: tuple[str, ...] = ()
    named_file: Path | None = None
    installed: tuple[InstalledEntry, ...] = ()
    broken_files: tuple[FileProblem, ...] = ()
    now: Callable[[], float] = time.time
    servers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_SERVERS_AT_ONCE))
    shared: SharedState = field(default_factory=SharedState)

    @property
    def config(self) -> Configuration:
        """The settings and where they came from."""
        return self.runtime.config

    @property
    def workspace(self) -> str:
        """The workspace; empty where none is set."""
        return self.config.settings.workspace or ""
