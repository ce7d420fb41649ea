"""What kind of media some bytes are, by their first bytes: what a sender declares may be wrong."""

_Mark = tuple[int, bytes]

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
    # A frame of MPEG audio, layer 3, without the tag before it: versions 1, 2 and 2.5.
    *(("audio/mpeg", ((0, bytes((0xFF, second))),)) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    # ADTS, the frames of AAC.
    *(("audio/aac", ((0, bytes((0xFF, second))),)) for second in (0xF1, 0xF9)),
    ("audio/ogg", ((0, b"OggS"),)),
    ("audio/flac", ((0, b"fLaC"),)),
    ("audio/mp4", ((4, b"ftypM4A"),)),
    ("video/mp4", ((4, b"ftyp"),)),
    ("video/webm", ((0, b"\x1aE\xdf\xa3"),)),
    ("application/pdf", ((0, b"%PDF-"),)),
)
"""Media types and the bytes that show them, with their places; the first that fits counts."""

_EXTENSIONS = {"image/jpeg": ".jpg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a"}


def media_type_of(data: bytes) -> str | None:
    """The media type that the content shows; None for what is not known."""
    return next((kind for kind, marks in _SIGNATURES if all(data.startswith(mark, at) for at, mark in marks)), None)


def extension_for(media_type: str) -> str:
    """The usual ending of a file of this type, with its dot."""
    return _EXTENSIONS.get(media_type, f".{media_type.rpartition('/')[2]}")
