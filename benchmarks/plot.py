"""A plot of the ratios as SVG: one line per row, one mark per server, on a logarithmic axis."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#d62728", "#7f7f7f", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
"""Ours, the httpx loop, and the peers in their order."""

LEFT, WIDTH, LINE, TOP, MARGIN = 330, 560, 24, 66, 24
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the plot.

    Attributes:
        title: Its label.
        costs: By server, how much more time or memory it takes than the bare server; below 1 is less.
    """

    title: str
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis from one ratio to another."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return the distance of a ratio from the left edge, at most that of the right edge."""
        share = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return LEFT + WIDTH * share


def axis_for(lines: Iterable[Line]) -> Axis:
    """Return the shortest axis between two ticks that has room for all marks and for 1."""
    costs = [1.0, *(cost for line in lines for cost in line.costs.values() if cost > 0)]
    low = max((tick for tick in TICKS if tick <= min(costs) and tick < 1), default=TICKS[0])
    high = min((tick for tick in TICKS if tick >= max(costs) and tick > 1), default=TICKS[-1])
    return Axis(low, high)


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Return a text element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def grid(axis: Axis, bottom: float) -> list[str]:
    """Return the vertical lines with their ratios; that of the bare server is darker."""
    parts = []
    for tick in (tick for tick in TICKS if axis.low <= tick <= axis.high):
        x, color = axis.place(tick), "#444444" if tick == 1 else "#dddddd"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{color}"/>')
        parts.append(text(x, TOP - 14, f"{tick:g}", "middle"))
    return parts


def mark(x: float, y: float, color: str, name: str, *, ours: bool) -> str:
    """Return a mark with a tooltip: a large square for our server, a dot for others."""
    title = f"<title>{escape(name)}</title>"
    if ours:
        return f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" fill="{color}">{title}</rect>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}" fill-opacity="0.8">{title}</circle>'


def legend(names: Sequence[str], colors: Mapping[str, str]) -> list[str]:
    """Return the line above the plot that names the servers."""
    parts, x = list[str](), float(MARGIN)
    for name in names:
        parts += [mark(x + 6, 20, colors[name], name, ours=name == names[0]), text(x + 18, 24, name)]
        x += 40 + 7 * len(name)
    return parts


def plot(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Return the plot as an SVG document.

    Args:
        lines: The rows.
        names: The servers, ours first.
    """
    axis, bottom = axis_for(lines), TOP + LINE * len(lines)
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}
    parts = [*legend(names, colors), *grid(axis, bottom)]
    for number, line in enumerate(lines):
        y = TOP + LINE * (number + 0.5)
        parts.append(text(LEFT - 12, y + 4, line.title, "end"))
        # Ours last, on top of the others.
        for name in [each for each in (*names[1:], names[0]) if each in line.costs]:
            label = f"{name}: {line.costs[name]:.2f}"
            parts.append(mark(axis.place(line.costs[name]), y, colors[name], label, ours=name == names[0]))
    parts.append(text(LEFT, bottom + 22, "time or memory, 1 = the bare server on the same SDK; less is better"))
    width, height = LEFT + WIDTH + MARGIN, bottom + 36
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="13" fill="#222222">'
    )
    return "\n".join([opening, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])
