"""Media types recognized by the first bytes."""

import pytest

from blaxel_mcp.core.media_types import extension_for, media_type_of


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0....", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"....XXXXWAVE", None),
        (b"ID3\x04....", "audio/mpeg"),
        (b"\xff\xf3\x84....", "audio/mpeg"),
        (b"OggS....", "audio/ogg"),
        (b"fLaC....", "audio/flac"),
        (b"\x00\x00\x00\x1cftypM4A ", "audio/mp4"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\x00\x00\x00\x1cftypisom", "video/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<svg>", None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_media_are_recognised_by_their_content(data: bytes, media_type: str | None) -> None:
    assert media_type_of(data) == media_type


@pytest.mark.parametrize(
    ("media_type", "extension"), [("image/png", ".png"), ("image/jpeg", ".jpg"), ("audio/mpeg", ".mp3")]
)
def test_a_file_is_named_as_people_expect(media_type: str, extension: str) -> None:
    assert extension_for(media_type) == extension
