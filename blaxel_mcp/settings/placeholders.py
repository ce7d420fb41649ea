"""Values that count as unset: blank ones and placeholders that were not expanded.

Several MCP clients pass `${NAME}` in their configuration to the server unchanged, and one expands an undefined variable
to an empty string.
"""

import re

_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*")


def is_placeholder(value: str) -> bool:
    """Return whether a value is a placeholder and nothing else: `${NAME}`, `${env:NAME}`, `${input:name}`, `$NAME`."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def is_unset(value: str) -> bool:
    """Return whether a value counts as unset: blank or a placeholder."""
    return not value.strip() or is_placeholder(value)
