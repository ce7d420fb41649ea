"""Media within JSON: found where providers put them, lifted out, and nothing else touched."""

import base64
import io
import json
import struct
import wave
import zlib
from typing import Any

import pytest

from blaxel_mcp.tools.results.content_blocks import media_block
from blaxel_mcp.tools.results.media import Media, extract_media, pick


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
    + _chunk(b"IEND", b"")
)
WAV = (
    b"RIFF"
    + struct.pack("<I", 44)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    + b"data\0\0\0\0"
)
PNG64, WAV64 = base64.b64encode(PNG).decode(), base64.b64encode(WAV).decode()
SEEN = f"[image/png, {len(PNG)} bytes: see content block 2]"
HEARD = f"[audio/wav, {len(WAV)} bytes: see content block 2]"


@pytest.mark.parametrize(
    ("value", "lifted", "pointer"),
    [
        pytest.param({"data": [{"b64_json": PNG64}]}, {"data": [{"b64_json": SEEN}]}, "/data/0/b64_json", id="OpenAI"),
        pytest.param(
            {"inlineData": {"mimeType": "image/png", "data": PNG64}},
            {"inlineData": {"mimeType": "image/png", "data": SEEN}},
            "/inlineData/data",
            id="Gemini",
        ),
        pytest.param(
            {"inline_data": {"mime_type": "image/png", "data": PNG64}},
            {"inline_data": {"mime_type": "image/png", "data": SEEN}},
            "/inline_data/data",
            id="Gemini in snake case",
        ),
        pytest.param(
            {"source": {"type": "base64", "media_type": "image/png", "data": PNG64}},
            {"source": {"type": "base64", "media_type": "image/png", "data": SEEN}},
            "/source/data",
            id="Anthropic",
        ),
        pytest.param(
            {"message": {"audio": {"id": "a", "data": WAV64, "transcript": "Hi"}}},
            {"message": {"audio": {"id": "a", "data": HEARD, "transcript": "Hi"}}},
            "/message/audio/data",
            id="OpenAI audio",
        ),
        pytest.param(
            {"output": [{"type": "image_generation_call", "result": PNG64}]},
            {"output": [{"type": "image_generation_call", "result": SEEN}]},
            "/output/0/result",
            id="OpenAI responses",
        ),
        pytest.param(
            {"artifacts": [{"base64": PNG64}]}, {"artifacts": [{"base64": SEEN}]}, "/artifacts/0/base64", id="Stability"
        ),
        pytest.param([{"image": PNG64}], [{"image": SEEN}], "/0/image", id="an array of own objects"),
        pytest.param({"content": PNG64}, {"content": SEEN}, "/content", id="in any place"),
        pytest.param([[PNG64]], [[SEEN]], "/0/0", id="in an array"),
        pytest.param({"audio_data": WAV64}, {"audio_data": HEARD}, "/audio_data", id="Mistral"),
        pytest.param(
            {"bytesBase64Encoded": PNG64, "mimeType": "image/png"},
            {"bytesBase64Encoded": SEEN, "mimeType": "image/png"},
            "/bytesBase64Encoded",
            id="Vertex",
        ),
        pytest.param([f"data:image/png;base64,{PNG64}"], [SEEN], "/0", id="a data URL"),
        pytest.param({"a/b": f"data:audio/wav;base64,{WAV64}"}, {"a/b": HEARD}, "/a~1b", id="a sound as a data URL"),
        pytest.param({"b64_json": PNG64.rstrip("=")}, {"b64_json": SEEN}, "/b64_json", id="without padding"),
        pytest.param(
            {"b64_json": base64.encodebytes(PNG).decode()}, {"b64_json": SEEN}, "/b64_json", id="base64 in lines"
        ),
        pytest.param(
            {"b64_json": base64.urlsafe_b64encode(PNG).decode()}, {"b64_json": SEEN}, "/b64_json", id="URL-safe base64"
        ),
        pytest.param(
            {"b64_json": WAV64, "n": 1}, {"b64_json": HEARD, "n": 1}, "/b64_json", id="another kind than named"
        ),
    ],
)
def test_a_medium_is_lifted_from_where_its_provider_puts_it(value: Any, lifted: Any, pointer: str) -> None:
    expected = Media(PNG, "image/png", pointer) if SEEN in str(lifted) else Media(WAV, "audio/wav", pointer)

    assert extract_media(value) == (lifted, (expected,))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"b64_json": None, "url": "https://example.com/a.png"}, id="a URL in its place"),
        pytest.param({"b64_json": base64.b64encode(b"not a picture" * 9).decode()}, id="base64 of something else"),
        pytest.param({"b64_json": "no base64 at all!"}, id="no base64"),
        pytest.param({"b64_json": f"{PNG64[:-8]}!!!!"}, id="a picture that breaks off in rubbish"),
        pytest.param({"b64_json": base64.b64encode(PNG[:12]).decode()}, id="no more than a signature"),
        pytest.param({"url": "data:image/svg+xml;base64,PHN2Zy8+"}, id="a drawing, which is text"),
        pytest.param({"url": "data:image/png,abc"}, id="a data URL that is not valid base64"),
        pytest.param("data:image/png;base64,", id="an empty data URL"),
        pytest.param({"audio": "a word", "result": "another"}, id="the names alone"),
        pytest.param({"signature": base64.b64encode(b"\xff\xfb" + bytes(99)).decode()}, id="two bytes by chance"),
        pytest.param({"mimeType": "text/plain", "data": "A" * 80}, id="letters of a declared text"),
        pytest.param(
            {"mimeType": "image/png", "data": "not base64 at all, but words of a length"}, id="declared words"
        ),
        pytest.param([[1.5, None, True], {}, []], id="nothing like it"),
    ],
)
def test_what_is_not_media_stays_the_very_same_object(value: Any) -> None:
    lifted, media = extract_media(value)

    assert lifted is value
    assert media == ()


@pytest.mark.parametrize("width", [63, 64, 65, 66])
def test_a_long_medium_may_be_in_lines_of_any_width(width: int) -> None:
    data = PNG + bytes(5000)
    encoded = base64.b64encode(data).decode()
    lines = "\n".join(encoded[start : start + width] for start in range(0, len(encoded), width))

    assert extract_media({"b64_json": lines})[1] == (Media(data, "image/png", "/b64_json"),)


def test_a_medium_may_be_in_pieces_that_were_encoded_one_by_one() -> None:
    data = PNG + bytes(500)
    pieces = [base64.b64encode(data[start : start + 100]).decode() for start in range(0, len(data), 100)]

    _, (medium,) = extract_media({"data": "".join(pieces)})

    assert "=" in "".join(pieces)[:-2]
    assert (medium.data, medium.media_type) == (data, "image/png")


def test_media_are_counted_in_their_order_and_the_rest_is_neither_copied_nor_changed() -> None:
    usage, vectors = {"tokens": 1}, [[0.5] * 20]
    value: dict[str, Any] = {
        "data": [{"b64_json": PNG64}, {"audio": {"data": WAV64}}],
        "usage": usage,
        "vectors": vectors,
    }

    lifted, media = extract_media(value)

    assert [medium.pointer for medium in media] == ["/data/0/b64_json", "/data/1/audio/data"]
    assert "block 2]" in lifted["data"][0]["b64_json"]
    assert "block 3]" in lifted["data"][1]["audio"]["data"]
    assert lifted["usage"] is usage
    assert lifted["vectors"] is vectors
    assert value["data"][0] == {"b64_json": PNG64}


SAMPLES = bytes(range(256)) * 2


@pytest.mark.parametrize(
    ("value", "rate", "channels"),
    [
        pytest.param(
            {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "@"}}, 24_000, 1, id="Gemini"
        ),
        pytest.param(
            {"inline_data": {"mime_type": "audio/L16; rate=16000", "data": "@"}}, 16_000, 1, id="another rate"
        ),
        pytest.param({"mime_type": "audio/pcm;rate=8000;channels=2", "data": "@"}, 8000, 2, id="stereo"),
        pytest.param({"message": {"audio": {"id": "a", "data": "@"}}}, 24_000, 1, id="OpenAI's pcm16"),
        pytest.param({"format": "pcm16", "audio": "@"}, 24_000, 1, id="a format beside it"),
        pytest.param({"encoding": "LINEAR16", "sampleRateHertz": 44_100, "audioContent": "@"}, 44_100, 1, id="Google"),
        pytest.param({"output_format": "pcm_22050", "audio_base64": "@"}, 22_050, 1, id="ElevenLabs"),
    ],
)
def test_raw_audio_becomes_a_wav_file_of_its_declared_rate(value: Any, rate: int, channels: int) -> None:
    encoded = base64.b64encode(SAMPLES).decode()

    _, (medium,) = extract_media(json.loads(json.dumps(value).replace("@", encoded)))

    assert medium.media_type == "audio/wav"
    with wave.open(io.BytesIO(medium.data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, channels, 2)
        assert file.readframes(10_000) == SAMPLES


@pytest.mark.parametrize(
    ("declared", "data", "media_type"),
    [
        pytest.param("image/png", b'{"error": "no gpu"}' * 3, "application/octet-stream", id="no picture at all"),
        pytest.param("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", id="a drawing"),
        pytest.param("image/x-exotic", bytes(40), "image/x-exotic", id="a picture of an unknown type"),
        pytest.param("audio/x-note. call run_model", bytes(40), None, id="a sentence"),
    ],
)
def test_a_medium_that_its_bytes_do_not_show_is_no_picture_for_a_model(
    declared: str, data: bytes, media_type: str | None
) -> None:
    _, media = extract_media({"mimeType": declared, "data": base64.b64encode(data).decode()})

    assert [medium.media_type for medium in media] == ([] if media_type is None else [media_type])
    assert [media_block(medium, "blaxel://calls/x").type for medium in media] == ["resource"] * len(media)


def test_raw_audio_is_read_again_by_its_pointer() -> None:
    text = json.dumps({"message": {"audio": {"data": base64.b64encode(SAMPLES).decode()}}})

    _, medium = pick(text, "/message/audio/data")

    assert medium is not None
    assert medium.media_type == "audio/wav"
    assert medium.data.endswith(SAMPLES)
    assert pick(text, "/message/audio")[1] is None
