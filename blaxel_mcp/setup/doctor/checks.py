"""What a check of the doctor gets, and what it returns."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio

from blaxel_mcp import __version__
from blaxel_mcp.catalog.entry import CatalogEntry
from blaxel_mcp.client.request import APIResponse
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.inference.runtime import Runtime
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.setup.install.document import ClientState

Item = TypeVar("Item")
Output = TypeVar("Output")

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


CheckOutcome = Literal["ok", "warning", "failed", "skipped"]
"""warning: it works, but needs attention. skipped: it was not checked."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check: the finding, or why nothing was checked, and the command or edit that fixes it."""

    outcome: CheckOutcome
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A result with the check's id, which scripts rely on, and its title for people."""

    id: str
    title: str
    result: Result

    @property
    def outcome(self) -> CheckOutcome:
        """The result's outcome."""
        return self.result.outcome


ok = partial(Result, "ok")
skipped = partial(Result, "skipped")


# Functions, so that the type checker insists on a fix.
def warning(message: str, fix: str) -> Result:
    """Return the result of a check that passed, but needs attention."""
    return Result("warning", message, fix)


def failed(message: str, fix: str) -> Result:
    """Return the result of a check that failed."""
    return Result("failed", message, fix)


def failed_by(error: BlaxelError, fix: str = "") -> Result:
    """Return the result of a check that ended with an error: the fix is the error's hint, followed by `fix`."""
    return failed(error.message, f"{error.hint} {fix}".strip())


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 call` or `2,000 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def failed_checks(findings: Iterable[Finding]) -> list[str]:
    """Return the ids of the checks that failed."""
    return [finding.id for finding in findings if finding.outcome == "failed"]


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of each outcome, the worst first, such as `1 failed, 2 skipped, 9 ok`."""
    counts = Counter(finding.outcome for finding in findings)
    order: tuple[CheckOutcome, ...] = ("failed", "warning", "skipped", "ok")
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in order if counts[outcome])


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the JSON of `doctor --json`: whether nothing failed, and each finding in order."""
    return {
        "ok": not failed_checks(findings),
        "version": __version__,
        "checks": [
            {
                "id": finding.id,
                "title": finding.title,
                "outcome": finding.outcome,
                "found": finding.result.message,
                "fix": finding.result.fix,
            }
            for finding in findings
        ],
    }


async def run_each(
    function: Callable[[Item], Awaitable[Output]], items: Sequence[Item], *, at_once: float = math.inf
) -> list[Output]:
    """Call a coroutine function with each item, at most `at_once` at a time; return the results in the items' order."""
    results: dict[int, Output] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def call(index: int, item: Item) -> None:
        async with limiter:
            results[index] = await function(item)

    async with anyio.create_task_group() as group:
        for index, item in enumerate(items):
            group.start_soon(call, index, item)
    return [results[index] for index in range(len(items))]
