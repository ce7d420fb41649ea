"""docs/demo.svg: a picture of `blaxel-mcp demo` on a terminal, out of what it printed there.

Of the tour it shows a few stops, their long lines cut. What is another one in each run is put in place by
`docs_steady.steady`. The fonts are those of whoever looks: nothing is fetched.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.text import Text

from tests.support.docs_steady import steady

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"

COLUMNS = 100
_SHOWN = ("3. The tools", "4. A chat model", "10. A failure")
"""The beginnings of the stops that are shown."""

_LABEL = 16
_WRAPPED = ("error", "fields")
"""The lines that are worth reading to their end."""

_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
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
"""Rich's own has the address of a font in it, which a page would fetch."""


def demo_on_a_terminal() -> str:
    """What the demo prints on a terminal, with its colours."""
    import pty  # noqa: PLC0415 - there is none on Windows

    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "blaxel_mcp", "demo"]
    shown = b""
    with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(60) == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # Linux's way of saying that the other end of a pseudo-terminal is closed.
        return b""


def picture_of(printed: str) -> str:
    """The picture, as SVG."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ blaxel-mcp demo"))
    for line in _lines(steady(printed)):
        console.print(line)
    return console.export_svg(title="blaxel-mcp demo", code_format=_FORMAT, unique_id="demo")


def _lines(printed: str) -> Iterator[Text]:
    """The lines of the stops that are shown."""
    for stop in printed.split("\n\n"):
        lines = [Text.from_ansi(line) for line in stop.strip("\n").split("\n")]
        if lines[0].plain.startswith(_SHOWN):
            yield Text()
            for line in lines:
                yield from _fitted(line)


def _fitted(line: Text) -> Iterable[Text]:
    """A line cut to the width, or in several lines where all of it is worth reading."""
    if line.cell_len <= COLUMNS:
        return [line]
    if not line.plain.strip().startswith(_WRAPPED):
        line.truncate(COLUMNS, overflow="ellipsis")
        return [line]
    label, text = line[:_LABEL], line[_LABEL:]
    first, *rest = text.wrap(Console(), COLUMNS - _LABEL)
    return [label + first, *(Text(" " * _LABEL) + more for more in rest)]


def text_of_picture(svg: str) -> list[str]:
    """The lines of text in a picture, whatever its colours and places are."""
    lines: dict[str, str] = {}
    for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 - it is our own file
        if "y" in element.attrib and "clip-path" in element.attrib:
            lines[element.attrib["y"]] = lines.get(element.attrib["y"], "") + (element.text or "")
    return [line.replace("\N{NO-BREAK SPACE}", " ").rstrip() for line in lines.values()]
