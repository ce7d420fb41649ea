"""The console for tables and reports, and the functions that make text from outside safe for a terminal."""

import re
import sys
import textwrap
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from blaxel_mcp.core.redaction import for_terminal

_PIPE_WIDTH = 1000
"""Columns outside a terminal: a program cannot read a number that is truncated to the width of a window."""


def print_text(text: str, *, file: TextIO | None = None, end: str = "\n") -> None:
    """Print text that may come from outside: verbatim into a pipe, without control characters on a terminal."""
    stream = file or sys.stdout
    print(for_terminal(text) if stream.isatty() else text, end=end, file=stream, flush=True)


def shown_usd(cost: float | None, decimals: int = 6) -> str:
    """Return an amount; one that is smaller than its last decimal is shown as more than zero, None as unknown."""
    if cost is None:
        return "unknown"
    smallest = 10**-decimals
    return f"<{smallest:.{decimals}f}" if 0 < cost < smallest else f"{cost:.{decimals}f}"


def folded(text: str, width: int | None, indent: int = 0) -> str:
    """Return a text with each line but the first indented; on a terminal folded between words, and safe for it.

    A part in backquotes, such as a command, stays in one piece, so that it can be copied. A line that begins with a
    space, as of a file that is quoted, stays as it is. `width` is None to fold nothing.
    """
    lines = []
    for line in (text if width is None else for_terminal(text)).split("\n"):
        if width is None or line.startswith(" "):
            lines.append(line)
        else:
            whole = re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", "\0"), line)
            columns = max(1, width - indent)
            rows = textwrap.wrap(whole, columns, break_long_words=False, break_on_hyphens=False) or [""]
            lines += [row.replace("\0", " ") for row in rows]
    return f"\n{' ' * indent}".join(lines)


def aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str] | None:
    """Return the lines of a table; None if they are longer than the columns of a terminal, if there is one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None and sum(widths) + 2 * len(widths) - 2 > width:
        return None
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


@contextmanager
def waiting(text: str) -> Iterator[Progress]:
    """Show a spinner with the elapsed time on stderr, if that is a terminal; `stop` ends it earlier."""
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    is_shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_shown) as progress:
        progress.add_task(text, total=None)
        yield progress


class ReportConsole(Console):
    """Prints to stdout without markup, highlighting or line breaks of its own."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True, quiet=quiet)
        if not self.is_terminal:
            self.width = _PIPE_WIDTH

    @property
    def window(self) -> int | None:
        """The columns of the terminal; None if stdout is none."""
        return self.width if self.is_terminal else None

    def print_table(
        self, columns: Iterable[str], rows: Iterable[Iterable[str | Text]], *, texts: Container[str]
    ) -> None:
        """Print a table; outside a terminal, without blanks at the ends of its lines.

        The cells of the columns in `texts` may be wrapped; the others hold numbers.
        """
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for name in columns:
            is_text = name in texts
            table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
        for row in rows:
            table.add_row(*row)
        with self.capture() as captured:
            self.print(table)
        lines = captured.get().splitlines()
        print("\n".join(lines if self.is_terminal else map(str.rstrip, lines)))

    def on_broken_pipe(self) -> None:
        """Let the command end like any other whose output is no longer read; rich itself would end the process."""
        raise BrokenPipeError
