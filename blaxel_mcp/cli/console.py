"""The console on which commands print tables and reports."""

from rich.console import Console


class ReportConsole(Console):
    """Prints to stdout without markup, highlighting or line breaks of its own.

    Raises:
        BrokenPipeError: From `print`, when nothing reads stdout any more; rich itself would end the process.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True, quiet=quiet)

    def on_broken_pipe(self) -> None:
        """Let the command end like any other whose output is no longer read."""
        raise BrokenPipeError
