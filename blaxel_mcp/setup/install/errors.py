"""Errors about the text of a client's file. None of them quotes the text, which may hold secrets."""

from blaxel_mcp.core.exceptions import ConfigurationError

_BYTE_ORDER_MARK = "\ufeff"


class MalformedError(Exception):
    """A text that cannot be parsed.

    Attributes:
        problem: What is wrong, such as "expected a value".
        line: The line of the mistake, counted from 1.
        column: The column of the mistake, in characters counted from 1.
    """

    def __init__(self, problem: str, text: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        before = text[:offset].replace("\r\n", "\n").replace("\r", "\n").removeprefix(_BYTE_ORDER_MARK)
        self.line = before.count("\n") + 1
        self.column = len(before) - (before.rfind("\n") + 1) + 1


def malformed(error: MalformedError, file: object) -> ConfigurationError:
    """Return the error to show for a file that cannot be parsed."""
    return ConfigurationError(
        f"{file} cannot be parsed at line {error.line}, column {error.column}: {error.problem}.",
        hint="Nothing was changed. Fix the file by hand, then run this again.",
    )


class NotATableError(Exception):
    """A value that should be a table but is something else.

    Attributes:
        path: The value's dotted name; empty for the whole text.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class UnusualTomlError(Exception):
    """A TOML entry written in a form that this program does not edit."""
