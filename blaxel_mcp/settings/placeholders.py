"""Values that count as unset or as mistakes: blank ones, and placeholders that were not expanded.

Several MCP clients pass `${NAME}` in their configuration to the server unchanged, and one expands an undefined variable
to an empty string. For a credential, such a value counts as unset, and nothing can be called. For a restricting key,
unset would mean no restriction, so there it is an error.
"""

import re

_QUOTES = re.compile(r"""^(["'])(.*)\1\Z""", re.DOTALL)
_SCHEME = re.compile(r"^(?:bearer|basic)(?:\s+|\Z)", re.IGNORECASE)

_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}|\$[A-Z_][A-Z0-9_]*")

_ONLY_A_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}|\$\([^()]*\)|\$[A-Za-z_]\w*|\$?\{\{[^{}]*\}\}|#\{[^{}]*\}|%\w+%")
"""A text that consists of a placeholder, in the syntaxes that no model uses in its own bodies."""

_UNEXPANDED = re.compile(
    r"""
    \$\{ | \$\( | \$[A-Za-z_] | \{\{ | \#\{ | <[^<>]*>            # ${X}  $(X)  $X  {{X}}  #{X}  <x>
    | %\( | ^%\w+%$ | %(?![0-9A-Fa-f]{2}%)[A-Za-z_][\w.:-]*%      # %(X)s  %X%, but not the %2F of a path
    | ^\{[\w.:-]+\}$ | ^@\w+@$ | ^__\w+__$ | ^!\w+!$              # {X}  @X@  __X__  !X!
    """,
    re.VERBOSE,
)


def bare_credential(text: str) -> str:
    """Return a credential without the decorations of env files and instructions: quotes, and `Bearer` or `Basic`."""
    bare = None
    while bare != text:
        bare = text
        text = _SCHEME.sub("", _QUOTES.sub(r"\2", text.strip()))
    return text


def is_placeholder(value: str) -> bool:
    """Return whether a value is a placeholder and nothing else: `${NAME}`, `${env:NAME}`, `${input:name}`, `$NAME`.

    It may have the decorations of a credential, such as `Bearer ${NAME}`.
    """
    return _PLACEHOLDER.fullmatch(bare_credential(value)) is not None


def is_unexpanded_text(value: str) -> bool:
    """Return whether a text is a placeholder in any common syntax and nothing else; `<x>` may be a token."""
    return _ONLY_A_PLACEHOLDER.fullmatch(value.strip()) is not None


def is_unset(value: str) -> bool:
    """Return whether a value counts as unset: blank or a placeholder."""
    return not bare_credential(value) or is_placeholder(value)


def fault_of(value: str) -> str | None:
    """Return the problem with the value of a restricting key; None if there is none.

    Stricter than `is_unset`: a placeholder in any common syntax counts, and so does one within a longer text.
    """
    if not any(character.isprintable() and not character.isspace() for character in value):
        return "is blank; set a value, or remove it"
    if _UNEXPANDED.search(value.strip()):
        return "contains a placeholder that was not expanded; write the value itself"
    return None
