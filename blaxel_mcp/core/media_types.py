"""Media types recognized by the first bytes of the content, since a declared media type may be wrong.

Measured libraries do worse on models' output: filetype 1.2 misses WebM and MPEG 2.5 audio and takes the
text "BM hello" for a bitmap, and puremagic 1.30 takes AVIF for video/mp4 and raises an exception on text.
"""

import re
import struct

_Mark = tuple[int, bytes]
"""An offset, and the bytes that are there."""

_SIGNATURES: tuple[tuple[str, tuple[_Mark, ...]], ...] = (
    ("image/png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("image/jpeg", ((0, b"\xff\xd8\xff"),)),
    ("image/gif", ((0, b"GIF87a"),)),
    ("image/gif", ((0, b"GIF89a"),)),
    ("image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
    *(("image/avif", ((4, b"ftyp" + brand),)) for brand in (b"avif", b"avis")),
    *(("image/heic", ((4, b"ftyp" + brand),)) for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    # Four reserved bytes, and a header of less than 256 bytes: two letters alone begin many texts.
    ("image/bmp", ((0, b"BM"), (6, bytes(4)), (15, bytes(3)))),
    ("image/jxl", ((0, b"\x00\x00\x00\x0cJXL "),)),
    ("image/tiff", ((0, b"II*\x00"),)),
    ("image/tiff", ((0, b"MM\x00*"),)),
    ("audio/wav", ((0, b"RIFF"), (8, b"WAVE"))),
    ("audio/mpeg", ((0, b"ID3"),)),
    # MPEG audio, layer 3, that begins with a frame instead of an ID3 tag: versions 1, 2 and 2.5.
    *(("audio/mpeg", ((0, bytes((0xFF, second))),)) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    # AAC in ADTS frames.
    *(("audio/aac", ((0, bytes((0xFF, second))),)) for second in (0xF1, 0xF9)),
    ("audio/ogg", ((0, b"OggS"),)),
    ("audio/flac", ((0, b"fLaC"),)),
    ("audio/mp4", ((4, b"ftypM4A"),)),
    ("video/mp4", ((4, b"ftyp"),)),
    ("video/webm", ((0, b"\x1aE\xdf\xa3"),)),
    ("application/pdf", ((0, b"%PDF-"),)),
)
"""Media types and their signatures; the first that matches wins."""

_EXTENSIONS = {
    **{f"audio/{name}": f".{name}" for name in ("aac", "flac", "ogg", "wav")},
    **{f"image/{name}": f".{name}" for name in ("avif", "bmp", "gif", "heic", "jxl", "png", "tiff", "webp")},
    **{f"application/{name}": f".{name}" for name in ("json", "pdf", "zip")},
    **{f"video/{name}": f".{name}" for name in ("mp4", "webm")},
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "image/jpeg": ".jpg",
    "image/svg+xml": ".svg",
    "application/octet-stream": ".bin",
    "model/gltf-binary": ".glb",
    "text/csv": ".csv",
    "text/plain": ".txt",
}

OPAQUE = "application/octet-stream"

IMAGE_TYPES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
"""The pictures that models take; one of another type in a conversation makes every later request of it fail."""

_MEDIA_TYPE = re.compile(r"(?:application|audio|font|image|model|text|video)/[a-z0-9][a-z0-9!#$&^_.+-]{0,47}")
"""`type/subtype` of RFC 6838, section 4.2: a registered type, too short to be a sentence."""

_RAW_AUDIO = re.compile(
    r"(?:audio/)?(?:x-)?(?:l16|lpcm|linear[-_]?(?:16|pcm)|s16le|pcm(?:[-_]?(?:s?16(?:[-_]?le)?|(?P<rate>\d{4,6})))?)"
)
"""Names of 16-bit samples without a header: the media type, or OpenAI's `pcm16` and ElevenLabs' `pcm_24000`."""

_SAMPLE_RATE = re.compile(r"rate=\"?(\d{4,6})\b")
_CHANNELS = re.compile(r"channels=\"?([1-8])\b")

PCM_RATE = 24_000
"""Samples a second of OpenAI's `pcm16`, and of raw audio that declares no rate."""

_SAMPLE_BYTES = 2
_WAV_HEADER = "<4sI4s4sIHHIIHH4sI"


def media_type_of(data: bytes) -> str | None:
    """Return the media type of some content; None if it is not recognized."""
    for media_type, marks in _SIGNATURES:
        if all(data.startswith(mark, offset) for offset, mark in marks):
            return media_type
    return None


def declared_media_type(content_type: str) -> str:
    """Return the media type in a Content-Type, in lower case; `OPAQUE` for anything that is not one."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else OPAQUE


def extension_for(media_type: str) -> str:
    """Return the file name extension of a media type, such as `.jpg`, from a fixed table; otherwise `.bin`."""
    return _EXTENSIONS.get(media_type, ".bin")


def shown_media_type(media_type: str) -> str:
    """Return a media type as a sentence shows it: quoted if it is one that only upstream knows."""
    return media_type if media_type in _EXTENSIONS else f'"{media_type}"'


def is_weak_signature(data: bytes) -> bool:
    """Return whether the signature of some content is so short that one in ten thousand random strings begins so."""
    return data[:1] == b"\xff" and data[:3] != b"\xff\xd8\xff"


def wav_of(samples: bytes, declared: str) -> bytes | None:
    """Return raw 16-bit audio as a WAV file; None if `declared` does not name raw audio.

    `declared` is a media type with its parameters, such as `audio/L16;codec=pcm;rate=24000`, or a format's name.
    RFC 2586 defines `audio/L16` as big-endian, but providers send little-endian samples under that name.
    """
    declared = declared.lower()
    name = _RAW_AUDIO.fullmatch(declared.partition(";")[0].strip())
    if name is None:
        return None
    rate = name["rate"] or ((match := _SAMPLE_RATE.search(declared)) and match[1]) or PCM_RATE
    channels = int(match[1]) if (match := _CHANNELS.search(declared)) else 1
    frame = channels * _SAMPLE_BYTES
    form = (16, 1, channels, int(rate), int(rate) * frame, frame, 8 * _SAMPLE_BYTES)
    size = len(samples)
    return struct.pack(_WAV_HEADER, b"RIFF", 36 + size, b"WAVE", b"fmt ", *form, b"data", size) + samples
