"""Images, audio and other media that an answer carries as base64 within its JSON.

Providers put them in these places: `b64_json` (OpenAI, images), an object with a media type
and `data` (`inlineData` of Gemini, `source` of Anthropic), `audio.data` (OpenAI, chat),
`result` of an `image_generation_call` (OpenAI, responses), and `data:` URLs anywhere.
A string counts as media only if its first bytes are those of a known format.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.media_types import media_type_of
from blaxel_mcp.tools.results.copy_on_write import with_items, with_members

_DATA_URL = re.compile(r"data:(?:image|audio)/[\w.+-]+(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_MEDIA_TYPE_NAMES = ("mimeType", "mime_type", "media_type")
_STANDARD_ALPHABET = str.maketrans("-_", "+/", " \t\r\n")
"""Turns the URL-safe alphabet of base64 into the standard one and removes white space."""

_MAY_HOLD_MEDIA = (str, dict, list)
"""Most values of large answers are numbers, which are not worth a function call."""

_BASE64_RUN = re.compile(r"[\w+/=\\-]{40}", re.ASCII)
"""JSON without such a run of characters, escapes included, has no string of `_MIN_BYTES` in base64."""

_MIN_BYTES = 32
"""Shorter data is no image or audio, and a few letters may spell the first bytes of a format by chance."""

_HEAD = 1024
"""Characters that are decoded first, to see whether the rest is worth decoding."""


@dataclass(frozen=True, slots=True)
class Media:
    """One image, audio clip or other medium.

    Attributes:
        data: The bytes.
        media_type: The media type, by the first bytes.
        pointer: The JSON Pointer of the string it was decoded from; None if it is the complete answer.
    """

    data: bytes = field(repr=False)
    media_type: str
    pointer: str | None = None


def may_contain_media(text: str) -> bool:
    """Return whether the text of JSON can contain media; False saves a walk over its values."""
    return _BASE64_RUN.search(text) is not None


def extract_media(
    value: Any, *, steps: tuple[str | int, ...] = (), first_block: int = 2
) -> tuple[Any, tuple[Media, ...]]:
    """Separate the media in a JSON value from the rest.

    Args:
        value: A JSON value, nested no deeper than `json_text.MAX_DEPTH`.
        steps: The path from the top of the complete answer to the value.
        first_block: The number of the content block that the first medium becomes; block 1 is the text.

    Returns:
        The value with a short reference in the place of each medium, and the media in their order.
    """
    extractor = _MediaExtractor(first_block)
    return extractor.value(value, steps), tuple(extractor.media)


def decode_media(text: str) -> tuple[bytes, str] | None:
    """Decode base64 or a base64 `data:` URL to bytes and their media type; None if it is not media."""
    prefix = _DATA_URL.match(text)
    encoded = text[prefix.end() :] if prefix else text
    head = encoded[:_HEAD].translate(_STANDARD_ALPHABET)
    first_bytes = _decode_base64(head[: len(head) // 4 * 4])
    if first_bytes is None or media_type_of(first_bytes) is None:
        return None
    data = _decode_base64(encoded.translate(_STANDARD_ALPHABET))
    if data is None or len(data) < _MIN_BYTES:
        return None
    media_type = media_type_of(data)
    return None if media_type is None else (data, media_type)


class _MediaExtractor:
    """One walk over a JSON value, with the media so far."""

    def __init__(self, first_block: int) -> None:
        self._first_block = first_block
        self.media: list[Media] = []

    def value(self, value: Any, steps: tuple[str | int, ...]) -> Any:
        match value:
            case str():
                return self._string(value, steps) if _DATA_URL.match(value) else value
            case dict():
                return self._object(value, steps, _base64_members(value))
            case list():
                changes = {
                    index: changed
                    for index, item in enumerate(value)
                    if isinstance(item, _MAY_HOLD_MEDIA) and (changed := self.value(item, (*steps, index))) is not item
                }
                return with_items(value, changes)
            case _:
                return value

    def _object(
        self, members: dict[str, Any], steps: tuple[str | int, ...], base64_members: tuple[str, ...]
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for name, value in members.items():
            if not isinstance(value, _MAY_HOLD_MEDIA):
                continue
            inner = (*steps, name)
            if name in base64_members and isinstance(value, str):
                changed: Any = self._string(value, inner)
            elif name == "audio" and isinstance(value, dict):
                changed = self._object(value, inner, ("data",))
            else:
                changed = self.value(value, inner)
            if changed is not value:
                changes[name] = changed
        return with_members(members, changes)

    def _string(self, text: str, steps: tuple[str | int, ...]) -> str:
        decoded = decode_media(text)
        if decoded is None:
            return text
        data, media_type = decoded
        block = self._first_block + len(self.media)
        self.media.append(Media(data, media_type, spell(steps)))
        return f"[{media_type}, {len(data):,} bytes: see content block {block}]"


def _base64_members(members: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of an object's members that may be media in base64."""
    if any(isinstance(members.get(name), str) for name in _MEDIA_TYPE_NAMES):
        return ("data", "b64_json")
    if members.get("type") == "image_generation_call":
        return ("result",)
    return ("b64_json",)


def _decode_base64(text: str) -> bytes | None:
    """Decode base64 without white space, with or without its padding; None if it is not valid."""
    text = text.rstrip("=")
    if len(text) % 4 == 1:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
