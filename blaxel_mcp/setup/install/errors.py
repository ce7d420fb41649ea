"""What can be wrong with the text of a client's settings; none of it quotes the text, which may hold secrets."""

from blaxel_mcp.core.exceptions import ConfigurationError

_BYTE_ORDER_MARK = "\ufeff"


class MalformedError(Exception):
    """A text is not what it should be.

    Attributes:
        problem: What is wrong.
        line: Where, counted from 1.
        column: Where in the line, in characters counted from 1.
    """

    def __init__(self, problem: str, text: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        before = text[:offset].replace("\r\n", "\n").replace("\r", "\n").removeprefix(_BYTE_ORDER_MARK)
        self.line = before.count("\n") + 1
        self.column = len(before) - (before.rfind("\n") + 1) + 1


def malformed(error: MalformedError, file: object) -> ConfigurationError:
    """Make the error for a file that cannot be understood."""
    return ConfigurationError(
        f"{file} cannot be understood at line {error.line}, column {error.column}: {error.problem}. "
        "It was left as it is.",
        hint="Mend it by hand first; the client may not be able to read it either.",
    )


class NotATableError(Exception):
    """What should be a table is something else.

    Attributes:
        path: Its dotted name, empty for the whole text.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class UnusualTomlError(Exception):
    """An entry is written in a way that is not changed from here."""
