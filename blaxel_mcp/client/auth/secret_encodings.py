"""The encodings in which upstream may echo a secret, for example when it quotes a header."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

from blaxel_mcp.core.redaction import REDACTED

MIN_CHARS = 8
"""Shorter strings occur within ordinary words, and redacting them anywhere would garble answers."""

_WIDE_CODECS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""The text encodings whose ASCII characters are not single bytes, as they are in UTF-8."""

_ESCAPES = re.compile(rb"\\\\|\\u00([2-7][0-9A-Fa-f])")
_PERCENT = re.compile("%[0-9A-F]{2}")
_KEPT_ESCAPED = (b'"', b"\\", b"\x7f")


def encodings(secret: str) -> dict[bytes, bytes]:
    """Return the encodings of a secret, each with its replacement; empty for a secret that is too short."""
    if len(secret) < MIN_CHARS:
        return {}
    in_json = json.dumps(secret)[1:-1]
    texts = (secret, in_json, in_json.replace("/", r"\/"), *_in_url(secret))
    narrow = (*(text.encode(errors="replace") for text in texts), *_in_base64(secret.encode(errors="replace")))
    wide = {secret.encode(codec, errors="replace"): REDACTED.encode(codec) for codec in _WIDE_CODECS}
    return {**wide, **dict.fromkeys(narrow, REDACTED.encode())}


def whole_word(secret: str) -> re.Pattern[bytes]:
    """Return a pattern that finds a short secret where it is no part of a longer word or of base64."""
    word = re.escape(secret.encode(errors="replace"))
    return re.compile(rb"(?<![\w\x80-\xff+/-])" + word + rb"(?![\w\x80-\xff+/-])")


def without_escapes(data: bytes) -> bytes:
    r"""Replace JSON escapes that are not required, such as `\u0041` for `A`; return `data` itself if it has none."""
    return _ESCAPES.sub(_unescaped, data) if b"\\u00" in data else data


def _unescaped(escape: re.Match[bytes]) -> bytes:
    character = bytes([int(escape[1], 16)]) if escape[1] else b"\\"
    return escape[0] if character in _KEPT_ESCAPED else character


def _in_url(secret: str) -> Iterator[str]:
    for safe in ("", "/"):
        encoded = quote(secret, safe=safe, errors="replace")
        yield encoded
        yield _PERCENT.sub(lambda escape: escape[0].lower(), encoded)


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Yield the part of base64 that depends only on the secret, for each of its three alignments."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        part = encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
        yield part
        yield part.translate(bytes.maketrans(b"+/", b"-_"))
