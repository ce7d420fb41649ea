"""Pictures, sounds and other media that an answer carries as base64 within its JSON.

Providers put them in these places: `b64_json` (OpenAI, images), an object with a media type
and `data` (`inlineData` of Gemini, `source` of Anthropic), `audio.data` (OpenAI, chat),
`result` of an `image_generation_call` (OpenAI, responses), and `data:` URLs anywhere.
What stands there is taken for media only if its first bytes are a known format's.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from blaxel_mcp.core.json_pointer import spell
from blaxel_mcp.core.media_types import media_type_of

_DATA_URL = re.compile(r"data:(?:image|audio)/[\w.+-]+(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_MEDIA_TYPE_NAMES = ("mimeType", "mime_type", "media_type")
_STANDARD_ALPHABET = str.maketrans("-_", "+/", " \t\r\n")
"""Turns the alphabet for URLs into the usual one, and lines into one."""

_CAN_HOLD_MEDIA = (str, dict, list)
"""Most values of large answers are numbers, which are not worth a call."""

_LEAST_BYTES = 32
"""No picture or sound is shorter, and a few letters may spell the first bytes of one by chance."""

_HEAD = 1024
"""Characters that are decoded to see whether the rest is worth decoding."""


@dataclass(frozen=True, slots=True)
class Media:
    """One picture, sound or other medium.

    Attributes:
        data: Its bytes.
        media_type: What the bytes show that it is.
        pointer: The JSON Pointer of the string that it was; None if it was the whole answer.
    """

    data: bytes = field(repr=False)
    media_type: str
    pointer: str | None = None


def lift_media(value: Any, *, steps: tuple[str | int, ...] = (), first_block: int = 2) -> tuple[Any, tuple[Media, ...]]:
    """Take the media out of a JSON value.

    Args:
        value: No deeper than `json_text.MAX_DEPTH`.
        steps: Where in the whole answer the value stands, for the pointers.
        first_block: The number of the content block that the first medium becomes: the text is block 1.

    Returns:
        The value with a short reference in the place of each medium, and the media in their order.
    """
    lift = _Lift(first_block)
    return lift.value(value, steps), tuple(lift.found)


def decode_media(text: str) -> tuple[bytes, str] | None:
    """The bytes that base64 or a base64 `data:` URL stands for, and their media type; None if it is not media."""
    prefix = _DATA_URL.match(text)
    encoded = text[prefix.end() :] if prefix else text
    head = _decoded(_whole_groups(encoded[:_HEAD]))
    if head is None or media_type_of(head) is None:
        return None
    data = _decoded(encoded.translate(_STANDARD_ALPHABET))
    if data is None or len(data) < _LEAST_BYTES:
        return None
    media_type = media_type_of(data)
    return None if media_type is None else (data, media_type)


class _Lift:
    """One walk over a value, with what it has found so far."""

    def __init__(self, first_block: int) -> None:
        self._first_block = first_block
        self.found: list[Media] = []

    def value(self, value: Any, steps: tuple[str | int, ...]) -> Any:
        match value:
            case str():
                return self._reference(value, steps) if _DATA_URL.match(value) else value
            case dict():
                return self._object(value, steps, _places(value))
            case list():
                return self._list(value, steps)
            case _:
                return value

    def _object(self, members: dict[str, Any], steps: tuple[str | int, ...], places: tuple[str, ...]) -> dict[str, Any]:
        lifted = members
        for name, value in members.items():
            if isinstance(value, _CAN_HOLD_MEDIA):
                changed = self._member(name, value, (*steps, name), places)
                if changed is not value:
                    lifted = dict(members) if lifted is members else lifted
                    lifted[name] = changed
        return lifted

    def _list(self, items: list[Any], steps: tuple[str | int, ...]) -> list[Any]:
        lifted = items
        for index, item in enumerate(items):
            if isinstance(item, _CAN_HOLD_MEDIA):
                changed = self.value(item, (*steps, index))
                if changed is not item:
                    lifted = list(items) if lifted is items else lifted
                    lifted[index] = changed
        return lifted

    def _member(self, name: str, value: Any, steps: tuple[str | int, ...], places: tuple[str, ...]) -> Any:
        if name in places and isinstance(value, str):
            return self._reference(value, steps)
        if name == "audio" and isinstance(value, dict):
            return self._object(value, steps, ("data",))
        return self.value(value, steps)

    def _reference(self, text: str, steps: tuple[str | int, ...]) -> str:
        decoded = decode_media(text)
        if decoded is None:
            return text
        data, media_type = decoded
        block = self._first_block + len(self.found)
        self.found.append(Media(data, media_type, spell(steps)))
        return f"[{media_type}, {len(data):,} bytes: see content block {block}]"


def _places(value: dict[str, Any]) -> tuple[str, ...]:
    """Which members of an object are base64 if they are strings."""
    if any(isinstance(value.get(name), str) for name in _MEDIA_TYPE_NAMES):
        return ("data", "b64_json")
    if value.get("type") == "image_generation_call":
        return ("result",)
    return ("b64_json",)


def _whole_groups(head: str) -> str:
    """The first characters of some base64, ended where a group of four ends."""
    head = head.translate(_STANDARD_ALPHABET)
    return head[: len(head) // 4 * 4]


def _decoded(text: str) -> bytes | None:
    """Base64 in one line, with or without its padding; None if it is not that."""
    text = text.rstrip("=")
    if len(text) % 4 == 1:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
