"""Makes text from outside safe to show: no credentials, no control characters, bounded length.

Text that looks like a credential is removed here, such as a provider's key in an error message. The server's own
credentials are removed by value (`client.auth.Authenticator.redact`).
"""

import re
import unicodedata
from collections.abc import Callable

REDACTED = "[redacted]"

SHOWN_CHARS = 80
"""Default number of characters that a message quotes of a caller's value."""

_MAX_SCANNED = 16_000
"""Characters of a text that are examined, far more than are ever shown."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories that are dropped: control, format, surrogate, private use and unassigned."""

_TERMINAL_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
"""Characters that a terminal obeys or that reorder its text, and half surrogate pairs, which cannot be written."""

_SCHEME = re.compile(
    # "Bearer authentication is required" is a sentence and has no credential.
    r"\b(bearer|basic)\s+(?!(?:auth|token|scheme|header|credential|key|realm)[a-z]*\b)[\w.~+/=*-]{6,}",
    re.IGNORECASE,
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_PREFIXED = re.compile(
    r"(?<![\w-])(?:"
    r"(?:sk|rk|pk)-[\w*-]{6,}|bl_[\w*-]{6,}"  # OpenAI's, Anthropic's and others'; Blaxel's
    # Ordinary words begin like this too ("hf_private_endpoint"): a key contains a digit.
    r"|(?:hf|gsk|xai|pplx|r8|gh[a-z]|sk)[-_](?=[\w-]*\d)[\w-]{8,}"
    r"|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|ya29\.[\w.-]{10,}"  # AWS's and Google's
    r")"
)
_USER_INFO = re.compile(r"://[^\s/@]{1,500}@")

_CERTAIN = (
    r"(?:x-)?api[-_ ]?key|(?:access|refresh|auth|id|session)[-_]?token|client[-_]?(?:secret|credentials)|"
    r"(?:x-blaxel-|proxy-)?authorization|passw(?:or)?d|private[-_]?key|secret[-_]?(?:access[-_]?)?key|(?:set-)?cookie"
)
_LIKELY = r"key|token|secret|sig|signature|pwd"
_VALUE = r"(?!\[redacted\]|(?:bearer|basic)\b)[^\s\"'&,;})\]]+"
_FIELDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Sentences have a word and a colon too ("invalid token: expected a string"). Only after a name that is certain
        # to be a credential's is a colon a separator.
        rf"(?<![\w-])((?:{_CERTAIN})\s?[=:]\s?)({_VALUE})",
        rf"(?<![\w-])((?:{_LIKELY})=)({_VALUE})",
        rf"([\"'](?:{_CERTAIN}|{_LIKELY})[\"']\s{{0,4}}:\s{{0,4}}[\"'])({_VALUE})",
    )
)


Redact = Callable[[bytes], bytes]
"""Removes this server's own secrets from bytes."""


def scrub(text: str) -> str:
    """Return the text with everything that looks like a credential replaced by `[redacted]`."""
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    text = _JWT.sub(REDACTED, text)
    text = _PREFIXED.sub(REDACTED, text)
    text = _USER_INFO.sub(f"://{REDACTED}@", text)
    for field in _FIELDS:
        text = field.sub(rf"\1{REDACTED}", text)
    return text


def shorten(text: str, limit: int = SHOWN_CHARS) -> str:
    """Return the text in at most `limit` characters (at least 1); if truncated, it ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(text: str, limit: int = SHOWN_CHARS) -> str:
    """Return a caller's text as a quoted literal that is safe on a terminal; credentials in it are not redacted.

    `limit` counts the characters before quotes and escapes are added.
    """
    return repr(shorten(text, limit))


def visible(text: str) -> str:
    """Return the text without its invisible characters other than white space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) not in _INVISIBLE)


def quote(text: str, limit: int, redact: Redact | None = None) -> str:
    """Return upstream's text as one line that can be quoted as data, in at most `limit` characters (at least 1).

    White space is collapsed, control and bidirectional formatting characters are dropped, and everything that looks
    like a credential is redacted. `redact` removes this server's own secrets. It sees the text without the invisible
    characters that could hide one, and before a part of one could be left by the other rules or the limit.
    """
    line = " ".join(visible(text[:_MAX_SCANNED]).split())
    if redact is not None:
        line = redact(line.encode()).decode("utf-8", "replace")
    if len(text) > _MAX_SCANNED:
        # The last word may be the beginning of a credential, which would no longer look like one.
        line = line.rpartition(" ")[0]
    return shorten(scrub(line), limit)


def for_terminal(text: str) -> str:
    r"""Return the text with every character that a terminal obeys escaped as in JSON, except line feeds and tabs."""
    return _TERMINAL_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))
