"""The tables of a run in Markdown."""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from benchmarks.figures import Ratio, best, ratio, readable
from benchmarks.rounds import Results
from benchmarks.rows import ROWS, Row, processor_key
from benchmarks.servers import BARE, OWN

NOTHING = "-"
MISSED = "**no**"
_LIBRARIES = ("mcp", "httpx", "httpcore", "h11", "pydantic", "anyio")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def compared(results: Results, row: Row, one: str, other: str) -> Ratio | None:
    """Return the ratio of two servers in a row, None where it has no meaning."""
    if not row.is_compared:
        return None
    return ratio(results.of(row.key, one), results.of(row.key, other), more_is_better=row.more_is_better)


def best_figure(results: Results, row: Row, contender: str) -> str:
    """Return the best round of a server with its unit."""
    values = results.of(row.key, contender)
    return f"{readable(best(values, more_is_better=row.more_is_better))} {row.unit}" if values else NOTHING


def measured_ratio(results: Results, row: Row) -> float | None:
    """Return the figure that the target of a row limits, None without a target or a measurement."""
    if row.target is None:
        return None
    if row.target.unit == "bare":
        compared_to_bare = compared(results, row, OWN.name, BARE.name)
        return compared_to_bare.median if compared_to_bare else None
    values = results.of(row.key, OWN.name)
    if row.target.unit == "own":
        return sorted(values)[len(values) // 2] if values else None
    to_other_row = ratio(values, results.of(row.target.unit, OWN.name), more_is_better=row.more_is_better)
    return to_other_row.median if to_other_row else None


def target_text(row: Row) -> str:
    """Return the target of a row as it is printed."""
    if row.target is None:
        return NOTHING
    sign = ">=" if row.more_is_better else "<="
    titles = {each.key: each.title for each in ROWS}
    units = {"bare": "", "own": f" {row.unit}"}
    of = units.get(row.target.unit, f" x ours in *{titles.get(row.target.unit, '')}*")
    return f"{sign} {row.target.limit:g}{of}"


def verdict(results: Results, row: Row) -> str:
    """Return whether a row reached its target."""
    measured = measured_ratio(results, row)
    if measured is None or row.target is None:
        return NOTHING
    return "yes" if (measured >= row.target.limit if row.more_is_better else measured <= row.target.limit) else MISSED


def targets_table(results: Results, rows: Iterable[Row]) -> str:
    """Return the table of our figures beside the targets."""
    head = ("row", "ours", "bare", "ours / bare: median", "best", "CPU time", "target", "reached")
    lines = []
    for row in rows:
        to_bare = compared(results, row, OWN.name, BARE.name)
        busy = ratio(
            *(results.of(processor_key(row.key), name) for name in (OWN.name, BARE.name)), more_is_better=False
        )
        ratios = [to_bare.median if to_bare else None, to_bare.best if to_bare else None, busy.median if busy else None]
        figures = (best_figure(results, row, OWN.name), best_figure(results, row, BARE.name))
        cells = [NOTHING if each is None else f"{each:.2f}" for each in ratios]
        lines.append((row.title, *figures, *cells, target_text(row), verdict(results, row)))
    return table(head, lines)


def missed_targets(results: Results, rows: Iterable[Row]) -> str:
    """Return a sentence on the rows that missed their target, and the command that shows why."""
    missed = [row for row in rows if verdict(results, row) == MISSED]
    if not missed:
        return "Every target that was measured is reached."
    commands = ", ".join(f"{row.title} (`{row.key}`)" for row in missed)
    return f"Not reached: {commands}. `python -m benchmarks --profile ROW` shows where the time of a row goes."


def servers_table(results: Results, rows: Iterable[Row], contenders: Sequence[str]) -> str:
    """Return the table of all servers: the median ratio to the bare server, and the best one in parentheses."""
    others = [name for name in contenders if name != BARE.name]
    lines = []
    for row in rows:
        ratios = [compared(results, row, name, BARE.name) for name in others]
        if sum(each is not None for each in ratios) > 1:
            lines.append((row.title, *(f"{each.median:.2f} ({each.best:.2f})" if each else NOTHING for each in ratios)))
    return table(("row", *others), lines)


def reasons_list(results: Results) -> str:
    """Return why servers were left out, one line each."""
    return "\n".join(f"- {name}: {reason}" for name, reasons in results.reasons.items() for reason in reasons)


def machine() -> str:
    """Return a sentence on the machine and the versions that were measured."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    python = f"{platform.python_implementation()} {sys.version.split()[0]}"
    return f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors, {python}, {libraries}."
