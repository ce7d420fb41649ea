"""Redacts this server's own secrets from the bytes that upstream sends, in each encoding in which it may echo one."""

import base64
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator
from urllib.parse import quote

from pydantic import SecretStr

from blaxel_mcp.core import json_text
from blaxel_mcp.core.redaction import REDACTED

logger = logging.getLogger(__name__)

MIN_CHARS = 8
"""Shorter strings occur within ordinary words, and redacting them anywhere would garble answers."""

_WIDE_CODECS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""The text encodings whose ASCII characters are not single bytes, as they are in UTF-8."""

_ESCAPES = re.compile(rb"\\\\|\\u00([2-7][0-9A-Fa-f])")
_PERCENT = re.compile("%[0-9A-F]{2}")
_KEPT_ESCAPED = (b'"', b"\\", b"\x7f")

_REMEMBERED = 16
"""Issued tokens to redact; older ones have long expired."""

_Replacements = tuple[tuple[bytes, bytes], ...]
_Words = dict[str, re.Pattern[bytes]]


class KnownSecrets:
    """The secrets in the settings and the most recent tokens, redacted in all their encodings."""

    def __init__(self) -> None:
        self._permanent: dict[bytes, bytes] = {}
        self._issued: OrderedDict[str, dict[bytes, bytes]] = OrderedDict()
        self._all: _Replacements = ()
        self._narrow: _Replacements = ()
        self._words: _Words = {}

    def add(self, secret: str) -> None:
        """Redact a secret from now on; a short one, of under 8 characters, only where it is a whole word."""
        self._add_word(secret)
        self._permanent.update(_encodings(secret))
        self._sort()

    def remember(self, *secrets: SecretStr | None) -> None:
        """Redact tokens until enough newer ones have followed."""
        for secret in secrets:
            if secret is not None:
                value = secret.get_secret_value()
                self._add_word(value)
                self._issued[value] = _encodings(value)
                self._issued.move_to_end(value)
        while len(self._issued) > _REMEMBERED:
            self._issued.popitem(last=False)
        self._sort()

    def redact(self, data: bytes, *, in_string: bool = False) -> bytes:
        """Replace each secret, in any of its encodings, by `[redacted]`; JSON stays JSON.

        The data are any bytes or, `in_string`, the content of a JSON string, which may be anything, also a number.
        """
        original = data
        # JSON escapes that are not required, such as `\u0041` for `A`.
        has_escapes = b"\\" in data and b"\\u00" in data
        plain = _ESCAPES.sub(_unescaped, data) if has_escapes else data
        if plain is not data and any(encoding in plain for encoding, _ in self._narrow):
            data = plain
        # Text in UTF-16 and UTF-32 has zero bytes, which most data has not.
        for encoding, replacement in self._all if b"\0" in data else self._narrow:
            # The search costs half of what replacing nothing does.
            if encoding in data:
                data = data.replace(encoding, replacement)
        if data is original and not self._words:
            return data
        return self._replace_words(data) if in_string else self._checked(original, data)

    def _checked(self, original: bytes, redacted: bytes) -> bytes:
        """Return redacted data without short secrets, string by string if it is JSON that would be broken otherwise.

        A secret of digits may be a part of any number, and a short one may follow the letter of an escape.
        """
        text = _json(original)
        if text is not None and (self._words or _json(redacted) is None):
            return json_text.with_strings(
                text,
                lambda string: self.redact(string.encode("utf-8", "surrogatepass"), in_string=True).decode(
                    "utf-8", "surrogatepass"
                ),
            ).encode()
        return self._replace_words(redacted)

    def _replace_words(self, data: bytes) -> bytes:
        for word in self._words.values():
            data = word.sub(REDACTED.encode(), data)
        return data

    def partial_secret_length(self, data: bytes) -> int:
        """Return the length of the longest suffix of `data` that is a proper prefix of a secret."""
        longest = len(self._narrow[0][0]) if self._narrow else 0
        tail = data[-longest:] if longest else b""
        return max((_overlap(tail, encoding) for encoding, _ in self._narrow), default=0)

    def redact_text(self, text: str) -> str:
        """Replace each secret in a text by `[redacted]`."""
        return self.redact(text.encode(errors="replace")).decode()

    def _add_word(self, secret: str) -> None:
        if 0 < len(secret) < MIN_CHARS and secret not in self._words:
            logger.warning("a credential has fewer than %d characters, which no key of Blaxel's has", MIN_CHARS)
            word = re.escape(secret.encode(errors="replace"))
            # No part of a longer word or of base64.
            pattern = re.compile(rb"(?<![\w\x80-\xff+/-])" + word + rb"(?![\w\x80-\xff+/-])")
            # A new mapping: a thread may be going through the old one.
            self._words = {**self._words, secret: pattern}

    def _sort(self) -> None:
        replacements = {**self._permanent}
        for issued in self._issued.values():
            replacements.update(issued)
        # The longest first, since one may be a part of another.
        self._all = tuple(sorted(replacements.items(), key=lambda item: len(item[0]), reverse=True))
        self._narrow = tuple(item for item in self._all if b"\0" not in item[0])


def _json(data: bytes) -> str | None:
    """Return the text of JSON; None for other data."""
    try:
        text = data.decode()
        json_text.parse(text.removeprefix("\ufeff"))
    except ValueError:
        return None
    return text


def _overlap(tail: bytes, secret: bytes) -> int:
    """Return the length of the longest suffix of `tail` that is a proper prefix of `secret`."""
    start = tail.find(secret[:1])
    while start >= 0:
        length = len(tail) - start
        if length < len(secret) and secret.startswith(tail[start:]):
            return length
        start = tail.find(secret[:1], start + 1)
    return 0


def _encodings(secret: str) -> dict[bytes, bytes]:
    """Return the encodings of a secret, each with its replacement; empty for a secret that is too short."""
    if len(secret) < MIN_CHARS:
        return {}
    in_json = json.dumps(secret)[1:-1]
    texts = (secret, in_json, in_json.replace("/", r"\/"), *_in_url(secret))
    narrow = (*(text.encode(errors="replace") for text in texts), *_in_base64(secret.encode(errors="replace")))
    wide = {secret.encode(codec, errors="replace"): REDACTED.encode(codec) for codec in _WIDE_CODECS}
    return {**wide, **dict.fromkeys(narrow, REDACTED.encode())}


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
