"""Errors about the text of a client's file. None of them quotes the text, which may hold secrets."""

from blaxel_mcp.core.exceptions import ConfigurationError

_BYTE_ORDER_MARK = "\ufeff"


class MalformedError(Exception):
    """A text that cannot be parsed: the line and the column in characters, both counted from 1, and the problem."""

    def __init__(self, problem: str, text: str, offset: int) -> None:
        before = text[:offset].replace("\r\n", "\n").replace("\r", "\n").removeprefix(_BYTE_ORDER_MARK)
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        super().__init__(f"line {line}, column {column}: {problem}")


def malformed(error: MalformedError, file: object) -> ConfigurationError:
    """Return the error to show for a file that cannot be parsed."""
    return ConfigurationError(
        f"{file} cannot be parsed at {error}.", hint="Nothing was changed. Fix the file by hand, then run this again."
    )


class NotATableError(Exception):
    """A value that should be a table but is something else; `path` is its dotted name, empty for the whole text."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class UnusualTomlError(Exception):
    """A TOML entry written in a form that this program does not edit."""
