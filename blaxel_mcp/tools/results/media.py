"""Images, audio and other media that an answer carries as base64 within its JSON.

A string anywhere in the answer is a medium if its first bytes are those of a known format, or if a `data:` URL or a
member beside it declares a type. Among the places are `b64_json` (OpenAI, images), `inlineData` (Gemini), `source`
(Anthropic), `audio.data` (OpenAI, chat), `audio_data` (Mistral, speech) and `bytesBase64Encoded` (Vertex).
"""

import base64
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_pointer import locate, read_steps, spell
from blaxel_mcp.core.media_types import (
    IMAGE_TYPES,
    OPAQUE,
    declared_media_type,
    is_weak_signature,
    media_type_of,
    shown_media_type,
    wav_of,
)

Steps = tuple[str | int, ...]
"""The path from the top of an answer to a part of it."""

Replace = Callable[[Any, Steps, Mapping[str, Any]], Any]
"""Returns what replaces a part; None if the part stays.

It is called with the part, the path to it, and the members of the object that has it, which are empty in an array.
"""

_NOTHING: Mapping[str, Any] = {}
_REPLACEABLE = (str, dict, list)
"""Other parts are skipped without a function call: most values of large answers are numbers."""


_DATA_URL = re.compile(r"data:([\w.+/-]*(?:;[\w.+-]+=[^;,]*)*);base64,", re.IGNORECASE)
_TYPE_NAMES = (
    *("mimeType", "mime_type", "media_type", "mediaType", "content_type", "contentType"),
    *("type", "format", "audio_format", "output_format", "encoding"),
)
"""Members that may declare the type of a medium beside them."""

_RATE_NAMES = ("sample_rate", "sampleRate", "sample_rate_hz", "sample_rate_hertz", "sampleRateHertz")
_DATA_NAMES = {
    *("audio", "audio_base64", "audio_content", "audio_data", "audioContent", "audioData", "b64_json", "base64"),
    *("bytes", "bytesBase64Encoded", "data", "image", "result", "video"),
}
"""Members that hold a medium of the declared type."""

_DECLARED = ("image/", "audio/", "video/", "model/", "application/pdf")
_STANDARD_ALPHABET = str.maketrans("-_", "+/", " \t\r\n")
"""Turns the URL-safe alphabet of base64 into the standard one and removes white space."""

may_hold_base64 = json_text.run_finder(string.ascii_letters + string.digits + "_+/=\\.~-", 40)
"""Returns whether JSON has a run of characters, escapes included, as `_MIN_BYTES` in base64 are one, or a token."""

_START = re.compile(r"data:|[\w+/-]{16}", re.ASCII)

_PADDING = re.compile("={1,2}")

_MIN_BYTES = 32
"""Shorter data is no image or audio, and a few letters may spell the first bytes of a format by chance."""

_HEAD = 1024
"""Characters that are decoded first: they show whether the rest is a medium."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, audio clip or other medium; its type is that of the first bytes, or else the declared one.

    `pointer` is the JSON Pointer of the string it was decoded from; None if it is the complete answer.
    """

    data: bytes = field(repr=False)
    media_type: str
    pointer: str | None = None


def replace_parts(value: Any, replace: Replace, steps: Steps = (), beside: Mapping[str, Any] = _NOTHING) -> Any:
    """Return a JSON value with its strings, arrays and objects replaced, the outermost first.

    An array or object without a replaced part is the same object in the result.
    """
    replacement = replace(value, steps, beside)
    if replacement is not None:
        return replacement
    if isinstance(value, dict):
        members = {
            name: changed
            for name, part in value.items()
            if isinstance(part, _REPLACEABLE)
            and (changed := replace_parts(part, replace, (*steps, name), value)) is not part
        }
        return {**value, **members} if members else value
    if isinstance(value, list):
        items = {
            index: changed
            for index, part in enumerate(value)
            if isinstance(part, _REPLACEABLE) and (changed := replace_parts(part, replace, (*steps, index))) is not part
        }
        return [items.get(index, part) for index, part in enumerate(value)] if items else value
    return value


def extract_media(value: Any, *, steps: Steps = (), first_block: int = 2) -> tuple[Any, tuple[Media, ...]]:
    """Replace each medium in a JSON value by a short reference, and return the media in their order too.

    `steps` is the path from the top of the complete answer to the value, which may nest `json_text.MAX_DEPTH` levels,
    and `first_block` the number of the content block that the first medium becomes; block 1 is the text.
    """
    media: list[Media] = []

    def reference(part: Any, place: Steps, beside: Mapping[str, Any]) -> str | None:
        decoded = decode_media(part, beside, place) if isinstance(part, str) else None
        if decoded is None:
            return None
        data, media_type = decoded
        media.append(Media(data, media_type, spell(place)))
        block = first_block + len(media) - 1
        return f"[{shown_media_type(media_type)}, {len(data):,} bytes: see content block {block}]"

    return replace_parts(value, reference, steps), tuple(media)


def pick(text: str, pointer: str) -> tuple[str, Media | None]:
    """Return what a JSON Pointer picks in the text of a JSON answer, and the medium if it is one.

    Raises:
        InvalidArgumentsError: The pointer selects nothing.
    """
    part = text[locate(text, pointer)]
    if part[0] != '"' or not _START.match(content := json_text.parse(part)):
        return part, None
    above = text[locate(text, pointer.rpartition("/")[0])] if pointer else ""
    beside = json_text.parse(above) if above.startswith("{") else {}
    decoded = decode_media(content, beside, tuple(read_steps(pointer)))
    return part, Media(*decoded, pointer) if decoded else None


def decode_media(text: str, beside: Mapping[str, Any] = _NOTHING, steps: Steps = ()) -> tuple[bytes, str] | None:
    """Decode base64 or a base64 `data:` URL to bytes and their media type; None if it is not media.

    `beside` are the members of the object that has the string, and `steps` the path to it from the top of the answer.
    """
    if not _START.match(text):
        return None
    prefix = _DATA_URL.match(text)
    encoded = text[prefix.end() :] if prefix else text
    name = str(steps[-1]) if steps else ""
    declared = prefix[1] if prefix else _declared_type(beside, steps) if name in _DATA_NAMES else ""
    head = encoded[:_HEAD].translate(_STANDARD_ALPHABET)
    first_bytes = _decode_base64(head[: len(head) // 4 * 4])
    if first_bytes is None:
        return None
    is_certain = name in _DATA_NAMES or prefix or not is_weak_signature(first_bytes)
    media_type = media_type_of(first_bytes) if is_certain else None
    if media_type is None and not declared:
        return None
    data = _decode_base64(encoded.translate(_STANDARD_ALPHABET))
    if data is None or len(data) < _MIN_BYTES:
        return None
    return _as_declared(data, declared) if media_type is None else (data, media_type)


def _as_declared(data: bytes, declared: str) -> tuple[bytes, str] | None:
    """Return a medium of unknown first bytes by its declared type: raw audio as WAV; None if the type is no medium."""
    if (wav := wav_of(data, declared)) is not None:
        return wav, "audio/wav"
    media_type = declared_media_type(declared)
    if not media_type.startswith(_DECLARED):
        return None
    return data, OPAQUE if media_type in IMAGE_TYPES else media_type


def _declared_type(beside: Mapping[str, Any], steps: Steps) -> str:
    """Return the type that an object declares for a medium in it, with the sample rate; empty for none."""
    types = (value for name in _TYPE_NAMES if isinstance(value := beside.get(name), str))
    declared = next((value for value in types if "/" in value or wav_of(b"", value) is not None), "")
    rate = next((value for name in _RATE_NAMES if isinstance(value := beside.get(name), int)), None)
    if declared:
        return f"{declared};rate={rate}" if rate and "rate=" not in declared else declared
    # OpenAI's audio in chat, and in responses: without a header, it is `pcm16`.
    is_openai = steps[-2:] == ("audio", "data") or beside.get("type") == "output_audio"
    return "pcm16" if is_openai else ""


def _decode_base64(text: str) -> bytes | None:
    """Decode base64 without white space, with or without its padding; None if it is not valid.

    Padding inside of it ends a piece of a stream whose pieces were encoded one by one.
    """
    text = text.rstrip("=")
    if "=" in text:
        pieces = [_decode_base64(piece) for piece in _PADDING.split(text)]
        return None if None in pieces else b"".join(piece for piece in pieces if piece is not None)
    if len(text) % 4 == 1:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
