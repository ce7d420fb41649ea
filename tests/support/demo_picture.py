"""Draw docs/demo.svg: `blaxel-mcp demo` on a terminal, from its output there.

The picture has some stops of the tour, and says how many it leaves out. `docs_steady.steady` replaces what differs
between runs. The fonts are the viewer's: the picture fetches nothing.
"""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.text import Text

from tests.support.docs_steady import steady

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"

COLUMNS = 80
_SHOWN = ("3. The tools", "4. A chat model", "10. A failure")
"""The beginnings of the stops in the picture."""

_STOP = re.compile(r"\d+\. ")

SVG_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""
"""Rich's own template has the URL of a font, which a page would fetch."""


def picture_of(printed: str) -> str:
    """Return the picture as SVG."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ blaxel-mcp demo"))
    for line in _lines(steady(printed)):
        console.print(line)
    return console.export_svg(title="blaxel-mcp demo", code_format=SVG_FORMAT, unique_id="demo")


def _lines(printed: str) -> Iterator[Text]:
    """Yield the lines of the stops in the picture, with a line in place of those that are left out."""
    omitted = 0
    for stop in [part for part in printed.strip("\n").split("\n\n") if part.strip()]:
        lines = [Text.from_ansi(line) for line in stop.strip("\n").split("\n")]
        if not _STOP.match(lines[0].plain):
            continue
        if not lines[0].plain.startswith(_SHOWN):
            omitted += 1
            continue
        yield from _mark(omitted)
        omitted = 0
        yield Text()
        yield from lines
    yield from _mark(omitted)


def _mark(omitted: int) -> Iterator[Text]:
    if omitted:
        yield Text()
        yield Text(f"   ... {omitted} more {'step' if omitted == 1 else 'steps'}", "dim italic")


def text_of_picture(svg: str) -> list[str]:
    """Return the lines of text in a picture, without colors and positions."""
    lines: dict[str, str] = {}
    for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 - it is our own file
        if "y" in element.attrib and "clip-path" in element.attrib:
            lines[element.attrib["y"]] = lines.get(element.attrib["y"], "") + (element.text or "")
    return [line.replace("\N{NO-BREAK SPACE}", " ").rstrip() for line in lines.values()]
