"""Values that are there and say nothing: empty ones, and placeholders that nobody expanded.

Several MCP clients hand `${NAME}` in their configuration to the server as it stands, and one
expands an undefined variable to an empty string.
"""

import re

_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*")


def is_placeholder(value: str) -> bool:
    """Tell whether a value is nothing but `${NAME}`, `${env:NAME}`, `${input:name}` or `$NAME`."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def is_unset(value: str) -> bool:
    """Tell whether a value counts as not given."""
    return not value.strip() or is_placeholder(value)
