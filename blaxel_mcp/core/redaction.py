"""Text from outside made fit to be shown: no credential, no control character, no more than asked for.

The credentials of this server are known and removed by value (`auth.Authenticator.redact`);
what is removed here is what only looks like a credential, such as a provider's key in an
error message.
"""

import re
import unicodedata

REDACTED = "[redacted]"

SHOWN_CHARS = 80
"""Characters of a caller's value that a message repeats."""

_MOST_LOOKED_AT = 16_000
"""Characters of a text that are looked at: far more than is ever shown of one."""

_SCHEME = re.compile(
    # "Bearer authentication is required" is a sentence, not a credential.
    r"\b(bearer|basic)\s+(?!(?:auth|token|scheme|header|credential|key|realm)[a-z]*\b)[\w.~+/=*-]{6,}",
    re.IGNORECASE,
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_PREFIXED = re.compile(
    r"(?<![\w-])(?:"
    r"(?:sk|rk|pk)-[\w*-]{6,}|bl_[\w*-]{6,}"  # OpenAI's, Anthropic's and others'; Blaxel's
    # These begin ordinary words too ("hf_private_endpoint"): a key has a digit in it.
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
        # A word and a colon is how sentences go on ("invalid token: expected a string"), so only
        # the names that nothing else bears are followed past one.
        rf"(?<![\w-])((?:{_CERTAIN})\s?[=:]\s?)({_VALUE})",
        rf"(?<![\w-])((?:{_LIKELY})=)({_VALUE})",
        rf"([\"'](?:{_CERTAIN}|{_LIKELY})[\"']\s{{0,4}}:\s{{0,4}}[\"'])({_VALUE})",
    )
)


def scrub(text: str) -> str:
    """Replace whatever looks like a credential by `[redacted]`, and leave the rest as it is."""
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    text = _JWT.sub(REDACTED, text)
    text = _PREFIXED.sub(REDACTED, text)
    text = _USER_INFO.sub(f"://{REDACTED}@", text)
    for field in _FIELDS:
        text = field.sub(rf"\1{REDACTED}", text)
    return text


def shorten(text: str, limit: int = SHOWN_CHARS) -> str:
    """Return the text in at most `limit` characters; a truncated one ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(text: str, limit: int = SHOWN_CHARS) -> str:
    """Return what a caller wrote as a quoted literal of at most `limit` characters, safe on a terminal."""
    shown = shorten(text, limit)
    return repr(shown) if shown.isprintable() else ascii(shown)


def quote(text: str, limit: int) -> str:
    """Return text of someone else's as one line that can be quoted as data.

    White space is folded, control and bidirectional formatting characters are dropped, whatever
    looks like a credential is replaced, and what is left is cut to `limit` characters.
    """
    line = " ".join(_visible(text[:_MOST_LOOKED_AT]).split())
    if len(text) > _MOST_LOOKED_AT:
        # The cut may have gone through a credential, which would no longer look like one.
        line = line.rpartition(" ")[0]
    clean = scrub(line)
    return shorten(clean, limit)


def _visible(text: str) -> str:
    return "".join(character for character in text if character.isspace() or _is_visible(character))


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
