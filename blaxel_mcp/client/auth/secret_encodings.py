"""The forms in which a secret may come back from someone who quotes a header of ours."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

_REDACTED = "[redacted]"

# Shorter strings are found in ordinary text, and taking those out would garble answers.
_MIN_CHARS = 8

_WIDE_CODECS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""In which a text may come, besides those that have ASCII where UTF-8 has it."""

_ESCAPES = re.compile(rb"\\\\|\\u00([2-7][0-9A-Fa-f])")
_PERCENT = re.compile("%[0-9A-F]{2}")
_KEPT_ESCAPED = (b'"', b"\\", b"\x7f")


def spellings(secret: str) -> dict[bytes, bytes]:
    """Return every form to look for and what to put in its place; none for a secret that is too short."""
    if len(secret) < _MIN_CHARS:
        return {}
    narrow = (text.encode(errors="replace") for text in (secret, *_in_json(secret), *_in_a_url(secret)))
    wide = {secret.encode(codec, errors="replace"): _REDACTED.encode(codec) for codec in _WIDE_CODECS}
    in_base64 = _in_base64(secret.encode(errors="replace"))
    return {**wide, **dict.fromkeys((*narrow, *in_base64), _REDACTED.encode())}


def without_escapes(data: bytes) -> bytes:
    r"""Return JSON with `\u0041` as `A`: some writers escape what need not be; the same object where there are none."""
    return _ESCAPES.sub(_plain, data) if b"\\u00" in data else data


def _plain(escape: re.Match[bytes]) -> bytes:
    character = bytes([int(escape[1], 16)]) if escape[1] else b"\\"
    return escape[0] if character in _KEPT_ESCAPED else character


def _in_json(secret: str) -> Iterator[str]:
    """Yield a secret as one or another JSON writer escapes it."""
    escaped = json.dumps(secret)[1:-1]
    yield escaped
    yield escaped.replace("/", r"\/")


def _in_a_url(secret: str) -> Iterator[str]:
    for kept in ("", "/"):
        encoded = quote(secret, safe=kept, errors="replace")
        yield encoded
        yield _PERCENT.sub(lambda found: found[0].lower(), encoded)


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Yield the part of base64 that a secret alone decides, for each of the three places that it may begin at."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        part = encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
        yield part
        yield part.translate(bytes.maketrans(b"+/", b"-_"))
