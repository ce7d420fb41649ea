"""Profiles of our server: which packages and which functions the processor is in.

A profiler makes small functions look more expensive than they are: compare shares, not times.
"""

import io
import pstats
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import readable
from benchmarks.report import table
from benchmarks.rows import ROWS
from benchmarks.scenarios import FULL, SCENARIOS, Bench
from benchmarks.servers import OWN

FUNCTIONS = 30
SMALLEST_SHARE = 0.01

LAYERS: Mapping[str, tuple[str, ...]] = {
    "this server": ("blaxel_mcp",),
    "SDK, pydantic": ("mcp", "pydantic"),
    "httpx, httpcore, h11": ("httpx", "httpcore", "h11"),
    "anyio, event loop": ("anyio", "asyncio"),
}
"""Each layer and how the names of its packages begin."""

REST = "rest"

Function = tuple[str, int, str]
"""The file, the line and the name of a function; the file of a built-in function is `~`."""

IDLE = ("select.epoll", "select.select", "_thread.lock", "select.poll", "select.kqueue")
"""Built-in functions that wait."""


def package_of(function: Function) -> str:
    """Return the package that a function belongs to, such as `blaxel_mcp.inference`, `httpx` or `asyncio`."""
    path, _, name = function
    if path == "~":
        return "waiting" if any(idle in name for idle in IDLE) else "built-in functions"
    parts = Path(path).parts
    if "blaxel_mcp" in parts:
        below = parts[parts.index("blaxel_mcp") + 1 :]
        return f"blaxel_mcp.{below[0]}" if len(below) > 1 else "blaxel_mcp"
    if match := re.search(r"site-packages/([^/]+?)(?:\.py)?(?:/|$)", path):
        return match[1]
    return "asyncio" if "asyncio" in parts else "standard library"


def charged(stats: Mapping[Function, tuple[Any, ...]]) -> dict[Function, float]:
    """Return the time in each function itself; that of built-in functions is charged to their callers.

    Args:
        stats: The `stats` of a `pstats.Stats`. An entry ends with own time, time with callees, and callers.
    """
    seconds: dict[Function, float] = defaultdict(float)
    for function, (_, _, own, _, callers) in stats.items():
        if function[0] == "~" and package_of(function) != "waiting":
            for caller, (*_, own_from_caller, _) in callers.items():
                seconds[caller] += own_from_caller
        else:
            seconds[function] += own
    return seconds


def shares(seconds: Mapping[Function, float]) -> list[tuple[str, float]]:
    """Return the share of each package in the time that is not spent waiting, largest first.

    Args:
        seconds: The time in each function itself, without the functions that it calls.
    """
    by_package: dict[str, float] = defaultdict(float)
    for function, own in seconds.items():
        by_package[package_of(function)] += own
    by_package.pop("waiting", None)
    whole = sum(by_package.values())
    largest_first = sorted(by_package.items(), key=lambda item: -item[1])
    return [(package, own / whole) for package, own in largest_first]


def profile(row: str, url: str) -> tuple[list[tuple[str, float]], str]:
    """Measure one row under the profiler, and return the shares of packages and a list of expensive functions."""
    scenario = next(each.scenario for each in ROWS if each.key == row)
    text = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "profile"
        SCENARIOS[scenario](OWN, Bench(url, FULL, file))
        stats = pstats.Stats(str(file), stream=text).sort_stats("tottime").print_stats(FUNCTIONS)
    return shares(charged(stats.stats)), text.getvalue()  # type: ignore[attr-defined]  # public, but not in typeshed


def profile_text(row: str, url: str) -> str:
    """Measure one row under the profiler, and return what is printed."""
    packages, functions = profile(row, url)
    lines = [(package, f"{readable(share * 100)} %") for package, share in packages if share >= SMALLEST_SHARE]
    return f"{table(('package', 'share'), lines)}\n{functions}"


def layers_table(per_row: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Return the share of each layer in several rows.

    Args:
        per_row: By the key of a row, the shares of packages.
    """
    titles = {row.key: row.title for row in ROWS}
    lines = []
    for layer, beginnings in {**LAYERS, REST: ()}.items():
        others = tuple(beginning for each in LAYERS.values() for beginning in each)
        cells = []
        for packages in per_row.values():
            share = sum(
                share
                for package, share in packages
                if (package.startswith(beginnings) if beginnings else not package.startswith(others))
            )
            cells.append(f"{share * 100:.0f} %")
        lines.append((layer, *cells))
    return table(("share of processor time", *(titles[key] for key in per_row)), lines)
