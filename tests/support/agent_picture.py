"""Draw docs/agent.svg: calls of a coding agent, from the recorded transcript of a session with it.

The transcript is made by `tests/clients/test_transcripts.py` with the client itself, whose model follows a script. The
picture has some of its calls; a long result ends in the number of characters that are left out.
"""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.support.demo_picture import COLUMNS, SVG_FORMAT

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "agent.svg"
TRANSCRIPT = ROOT / "tests" / "clients" / "transcripts" / "claude.md"

SHOWN = ("An answer", "A picture", "A limit that is used up")
"""The titles of the calls in the picture."""

_INDENT = 5
_MAX_CHARS = 222
_BLOCK = re.compile(r"^```(\w+)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def picture_of(transcript: str) -> str:
    """Return the picture of a transcript as SVG."""
    (client,) = re.findall(r"^# What a model sees through (.*)$", transcript, re.MULTILINE)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    for title in SHOWN:
        for line in _call(transcript, title):
            console.print(line)
    title = f"{client} calls the tools of blaxel-mcp; its model follows a script"
    return console.export_svg(title=title, code_format=SVG_FORMAT, unique_id="agent")


def _call(transcript: str, title: str) -> Iterator[Text]:
    section = transcript.partition(f"\n### {title}\n")[2].partition("\n### ")[0]
    tool = re.findall(r"^It calls `(.*)`:$", section, re.MULTILINE)[0]
    (name,) = re.findall(rf"^### (\S*__{tool})$", transcript, re.MULTILINE)
    (_, arguments), *results = _BLOCK.findall(section)
    is_failure = "It is shown, as a failure:" in section
    yield Text.assemble(("> ", "bold cyan"), (name, "bold"))
    yield from _rows(arguments, "cyan")
    for kind, result in results:
        # The bytes of a picture, which the transcript leaves out.
        text = "(the picture itself)" if kind == "json" else result
        yield from _rows(text, "yellow" if is_failure else "green" if kind == "json" else "default", mark="= ")
    yield Text()


def _rows(text: str, style: str, mark: str = "") -> Iterator[Text]:
    if left_out := len(text[_MAX_CHARS:]):
        text = f"{text[:_MAX_CHARS]} ... {left_out} more characters"
    width = COLUMNS - _INDENT
    for row in re.findall(rf".{{1,{width}}}(?:(?<=[ ,])|$)|.{{{width}}}", text):
        yield Text.assemble((f"{mark:>{_INDENT}}", "dim"), (row.rstrip(), style))
        mark = ""
