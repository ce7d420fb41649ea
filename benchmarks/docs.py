"""Write a run into docs/performance.md and docs/performance.svg."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.driver import ROOT
from benchmarks.figures import ratio
from benchmarks.plot import Line, plot
from benchmarks.report import machine, missed_targets, reasons_list, servers_table, targets_table
from benchmarks.rounds import Results
from benchmarks.rows import Row
from benchmarks.servers import BARE

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"


def replaced(page: str, name: str, content: str) -> str:
    """Return a page with new content between `<!-- measured: NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: The page has no such part.
    """
    pattern = rf"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end -->)"
    page, count = re.subn(pattern, lambda match: f"{match[1]}\n{content}\n\n{match[2]}", page, count=1, flags=re.DOTALL)
    if not count:
        raise ValueError(f"the page has no part <!-- measured: {name} -->")
    return page


def lines_of(results: Results, rows: Sequence[Row], names: Sequence[str]) -> list[Line]:
    """Return the lines of the plot. A rate is shown as time per call, so that less is better in every line."""
    lines = []
    for row in rows:
        costs = {}
        for name in names:
            values, base = results.of(row.key, name), results.of(row.key, BARE.name)
            pair = (base, values) if row.more_is_better else (values, base)
            if found := ratio(*pair, more_is_better=row.more_is_better):
                costs[name] = found.median
        title = row.title.replace("`", "")
        if costs and row.is_compared:
            lines.append(Line(f"{title}, inverted" if row.more_is_better else title, costs))
    return lines


def picture(results: Results, rows: Sequence[Row], contenders: Sequence[str]) -> str:
    """Return the plot of a run."""
    names = [name for name in contenders if name != BARE.name]
    return plot(lines_of(results, rows, names), names)


def measured_parts(results: Results, rows: Sequence[Row], contenders: Sequence[str], rounds: int) -> dict[str, str]:
    """Return the parts of the page that come from a run, by name."""
    left_out = reasons_list(results)
    return {
        "targets": f"{targets_table(results, rows)}\n\n{missed_targets(results, rows)}",
        "servers": servers_table(results, rows, contenders) + (f"\n\nNot measured:\n\n{left_out}" if left_out else ""),
        "machine": f"{machine()} Interleaved rounds: {rounds}.",
    }


def write_page(page: Path, parts: Mapping[str, str]) -> None:
    """Write parts into a page."""
    content = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        content = replaced(content, name, part)
    page.write_text(content, encoding="utf-8")
