"""The console for tables and reports, and the functions that make text from outside safe for a terminal."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from blaxel_mcp.core.redaction import for_terminal

PIPE_WIDTH = 1000
"""Columns outside a terminal: a program cannot read a number that is truncated to the width of a window."""


def print_text(text: str, *, file: TextIO | None = None, end: str = "\n") -> None:
    """Print text that may come from outside: verbatim into a pipe, without control characters on a terminal.

    Args:
        text: The text.
        file: Where to print it; None for stdout.
        end: What to print after it.
    """
    stream = file or sys.stdout
    print(for_terminal(text) if stream.isatty() else text, end=end, file=stream, flush=True)


def folded(text: str, width: int | None, indent: int = 0) -> str:
    """Return a text with each line but the first indented, and on a terminal folded between words.

    A line that begins with a space, as of a file that is quoted, stays as it is.

    Args:
        text: The text. A part in backquotes, such as a command, stays in one piece, so that it can be copied.
        width: The columns of the terminal; None to fold nothing.
        indent: The columns before the text.
    """
    lines = []
    for line in text.split("\n"):
        words, row = re.findall(r"`[^`]*`\S*|\S+", line) if width and line[:1] != " " else [line], ""
        for word in words:
            if row and width and indent + len(row) + 1 + len(word) > width:
                lines.append(row)
                row = word
            else:
                row = f"{row} {word}" if row else word
        lines.append(row)
    return f"\n{' ' * indent}".join(lines)


@contextmanager
def waiting(text: str) -> Iterator[Progress]:
    """Show a spinner with the elapsed time on stderr, if that is a terminal; `stop` ends it earlier."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        progress.add_task(text, total=None)
        yield progress


class ReportConsole(Console):
    """Prints to stdout without markup, highlighting or line breaks of its own.

    Raises:
        BrokenPipeError: From `print`, when stdout is closed; rich itself would end the process.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True, quiet=quiet)

    def on_broken_pipe(self) -> None:
        """Let the command end like any other whose output is no longer read."""
        raise BrokenPipeError
