"""Media types recognized by the first bytes of the content, since a declared media type may be wrong.

Libraries were measured and do worse on what models return: filetype 1.2 misses WebM and MPEG 2.5 audio and takes the
text "BM hello" for a bitmap, and puremagic 1.30 takes AVIF for video/mp4 and raises an exception on text.
"""

_Mark = tuple[int, bytes]
"""An offset, and the bytes that are there."""

_SIGNATURES: tuple[tuple[str, tuple[_Mark, ...]], ...] = (
    ("image/png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("image/jpeg", ((0, b"\xff\xd8\xff"),)),
    ("image/gif", ((0, b"GIF87a"),)),
    ("image/gif", ((0, b"GIF89a"),)),
    ("image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
    ("image/avif", ((4, b"ftypavif"),)),
    ("image/heic", ((4, b"ftypheic"),)),
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

_EXTENSIONS = {"image/jpeg": ".jpg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a"}


def media_type_of(data: bytes) -> str | None:
    """Return the media type of some content; None if it is not recognized."""
    for media_type, marks in _SIGNATURES:
        if all(data.startswith(mark, offset) for offset, mark in marks):
            return media_type
    return None


def extension_for(media_type: str) -> str:
    """Return the usual file name extension of a media type, such as `.jpg` for `image/jpeg`."""
    return _EXTENSIONS.get(media_type, f".{media_type.rpartition('/')[2]}")
