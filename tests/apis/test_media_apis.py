"""Pictures, speech, recordings and rankings: what goes out, and what an agent sees of what comes back."""

import base64
import json
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from blaxel_mcp.apis import api_named
from blaxel_mcp.apis.base import FileData, FileURL
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.apis.speech import as_wav, speak
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

WAV = as_wav(speak("one two three"))
DATA_URL = f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"
MODELS = [
    {"name": "house-painter", "api": "images"},
    {"name": "house-voice", "api": "speech"},
    {"name": "house-ears", "api": "transcriptions"},
    {"name": "house-rerank", "api": "rerank"},
]


async def call(emulator: Emulator, tool: str, arguments: dict[str, Any], **settings: Any) -> Any:
    async with connect(leading_to(emulator, models=MODELS, **settings)) as client:
        return await client.call_tool(tool, arguments)


async def test_a_painted_picture_is_seen_as_a_picture_and_not_as_base64(emulator: Emulator) -> None:
    result = await call(emulator, "house-painter", {"prompt": "a red house", "n": 2})

    (request,) = inference_requests(emulator.requests)
    assert json.loads(request.body) == {"model": "gpt-image-1", "prompt": "a red house", "n": 2}
    pictures = [block for block in result.content if isinstance(block, types.ImageContent)]
    assert [picture.mime_type for picture in pictures] == ["image/png"] * 2
    assert all(base64.b64decode(picture.data).startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0].data != pictures[1].data
    assert result.structured_content is None
    assert pictures[0].data not in text_of(result)
    assert "image/png" in text_of(result)
    assert receipt_of(result)["usage"]["input_tokens"] == 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_a_picture_too_large_for_a_client_is_handed_over_as_a_file(emulator: Emulator, folder: Path) -> None:
    result = await call(
        emulator,
        "house-painter",
        {"prompt": "a red house"},
        limits={"max_media_bytes": 100},
        files={"output_dir": str(folder)},
    )

    (link,) = [block for block in result.content if isinstance(block, types.ResourceLink)]
    file = only_file(folder)
    assert str(file) in " ".join(block.text for block in result.content if isinstance(block, types.TextContent))
    assert link.mime_type == "image/png"
    assert file.read_bytes().startswith(b"\x89PNG")
    assert receipt_of(result)["truncated"] is True


async def test_speech_is_heard_as_sound_and_told_of_to_a_client_that_drops_it(emulator: Emulator) -> None:
    arguments = {"input": "one two three", "voice": "alloy", "response_format": "wav"}
    result = await call(emulator, "house-voice", arguments)

    summary, block = result.content
    assert isinstance(block, types.AudioContent)
    assert block.mime_type == "audio/wav"
    assert isinstance(summary, types.TextContent)
    size, call_id = len(base64.b64decode(block.data)), receipt_of(result)["call_id"]
    assert summary.text == f"audio/wav, {size:,} bytes: blaxel://calls/{call_id}"
    with wave.open(BytesIO(base64.b64decode(block.data))) as sound:
        assert sound.getnframes() == 3 * int(8000 * 0.08)


async def test_speech_without_a_format_is_an_mp3_as_at_the_provider(emulator: Emulator) -> None:
    result = await call(emulator, "house-voice", {"input": "one two three", "voice": "alloy"})

    _, block = result.content
    assert isinstance(block, types.AudioContent)
    assert block.mime_type == "audio/mpeg"
    frame, *others = base64.b64decode(block.data).split(b"\xff\xfb")[1:]
    # Three words of 0.08 s, in frames of 26 ms.
    assert others == [frame] * 9


@pytest.mark.parametrize("tool", ["house-ears", "run_model"])
async def test_a_recording_is_sent_as_a_form_and_written_down(emulator: Emulator, tmp_path: Path, tool: str) -> None:
    (tmp_path / 'a "b".wav').write_bytes(WAV)
    fields = {"file": str(tmp_path / 'a "b".wav'), "language": "en", "temperature": 0}
    arguments = fields if tool == "house-ears" else {"model": "house-ears", "data": fields}
    result = await call(emulator, tool, arguments, files={"allowed_dirs": [str(tmp_path)]})

    assert answer_of(result)["text"] == "I hear 3 sounds in 0.24 seconds."
    (request,) = inference_requests(emulator.requests)
    (content_type,) = request.header_values("content-type")
    assert content_type.startswith("multipart/form-data; boundary=")
    assert WAV in request.body
    assert b'filename="a %22b%22.wav"\r\nContent-Type: audio/wav' in request.body
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in request.body


@pytest.mark.parametrize("file", ["https://example.com/a.wav", "/etc/passwd", "a.wav"])
async def test_a_recording_that_is_not_brought_along_is_refused(emulator: Emulator, file: str) -> None:
    result = await call(emulator, "house-ears", {"file": file})

    assert error_of(result)["code"] == "invalid_arguments"
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize("data", [[], [{}], {}, {"file": ["a.wav"]}], ids=str)
async def test_a_form_without_a_recording_is_refused(emulator: Emulator, data: Any) -> None:
    result = await call(emulator, "run_model", {"model": "house-ears", "data": data})

    assert error_of(result)["code"] == "invalid_arguments"
    assert inference_requests(emulator.requests) == []


async def test_a_transcript_as_plain_text_is_text(emulator: Emulator) -> None:
    file = f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"
    result = await call(emulator, "house-ears", {"file": file, "response_format": "text"})

    assert text_of(result) == "I hear 3 sounds in 0.24 seconds.\n"


async def test_documents_come_back_by_their_places(emulator: Emulator) -> None:
    documents = ["Rates rose in March.", "A cat sat on a mat.", "The cat is on the mat again."]
    result = await call(emulator, "house-rerank", {"query": "the cat on the mat", "documents": documents, "top_n": 2})

    assert answer_of(result)["results"] == [
        {"index": 2, "relevance_score": 1.0},
        {"index": 1, "relevance_score": 0.75},
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("house-painter", {}, "'prompt' is required"),
        ("house-voice", {"input": "x"}, "'voice' is required"),
        ("house-ears", {}, "'file' is required"),
        ("house-rerank", {"query": "x", "documents": "y"}, "$.documents: expected array"),
    ],
)
async def test_what_an_api_needs_is_asked_for_before_anything_is_sent(
    emulator: Emulator, tool: str, arguments: dict[str, Any], expected: str
) -> None:
    result = await call(emulator, tool, arguments)

    assert expected in text_of(result)
    assert inference_requests(emulator.requests) == []


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("house-painter", {"prompt": "x", "size": "1x1"}, "size"),
        ("house-painter", {"prompt": "x", "response_format": "url"}, "response_format"),
        ("house-voice", {"input": "x", "voice": "alloy", "response_format": "opus"}, "mp3, wav and pcm"),
        ("house-rerank", {"query": "", "documents": ["x"]}, "query"),
    ],
)
async def test_what_the_provider_refuses_is_told_in_its_words(
    emulator: Emulator, tool: str, arguments: dict[str, Any], expected: str
) -> None:
    result = await call(emulator, tool, arguments)

    assert (error_of(result)["code"], error_of(result)["status"]) == ("provider_error", 400)
    assert expected in text_of(result)


def test_a_form_field_is_written_once_per_value_and_json_where_it_is_not_text() -> None:
    api = api_named("transcriptions")
    assert api is not None
    body = {"file": FileData("a.wav", "audio/wav", b"RIFF"), "granularities[]": ["word", "segment"], "flag": True}
    encoded = api.encode({**body, "nothing": None})
    boundary = encoded.content_type.removeprefix("multipart/form-data; boundary=").encode()

    parts = [part.strip(b"\r\n") for part in encoded.content.split(b"--" + boundary)]
    assert parts == [
        b"",
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF',
        b'Content-Disposition: form-data; name="granularities[]"\r\n\r\nword',
        b'Content-Disposition: form-data; name="granularities[]"\r\n\r\nsegment',
        b'Content-Disposition: form-data; name="flag"\r\n\r\ntrue',
        b"--",
    ]


def test_a_recording_elsewhere_is_not_fetched() -> None:
    api = api_named("transcriptions")
    assert api is not None
    with pytest.raises(InvalidArgumentsError, match="does not fetch https URLs"):
        api.check({"file": FileURL("https://example.com/a.wav")})


async def call_raw(emulator: Emulator, arguments: dict[str, Any], entry: dict[str, Any], **settings: Any) -> Any:
    models = [{"name": "house-classifier", "api": "raw", **entry}]
    async with connect(leading_to(emulator, models=models, **settings)) as client:
        return await client.call_tool("house-classifier", arguments)


@pytest.mark.parametrize("by_path", [True, False])
async def test_a_file_is_the_whole_body_of_a_raw_call(emulator: Emulator, folder: Path, by_path: bool) -> None:
    (folder / "x.wav").write_bytes(WAV)
    file = str(folder / "x.wav") if by_path else DATA_URL
    await call_raw(emulator, {"file": file}, {}, files={"allowed_dirs": [str(folder)]})

    (request,) = inference_requests(emulator.requests)
    assert request.body == WAV
    assert dict(request.headers)["content-type"] == "audio/wav"


@pytest.mark.parametrize(
    ("arguments", "entry", "told"),
    [
        ({"file": "https://example.com/x.wav"}, {}, "`file` has to be a path or a data: URL"),
        ({"file": "/etc/passwd"}, {}, "files.allowed_dirs"),
        ({"file": DATA_URL, "inputs": "x"}, {}, "`file` is the whole body, so `inputs` cannot be sent with it."),
        ({"file": DATA_URL}, {"locked": {"parameters": {}}}, "so `parameters` cannot be sent with it."),
        ({"file": DATA_URL}, {"defaults": {"parameters": {}}}, "so `parameters` cannot be sent with it."),
        ({"file": 5}, {}, "$.file: expected string"),
    ],
)
async def test_a_file_that_cannot_be_the_whole_body_is_refused(
    emulator: Emulator, arguments: dict[str, Any], entry: dict[str, Any], told: str
) -> None:
    result = await call_raw(emulator, arguments, entry)

    assert error_of(result)["code"] == "invalid_arguments"
    assert told in text_of(result)
    assert inference_requests(emulator.requests) == []


async def test_headers_of_the_settings_go_out_with_each_call(emulator: Emulator) -> None:
    headers = {"X-Wait-For-Model": "true", "anthropic-beta": "a,b", "Accept": "application/json"}
    await call_raw(emulator, {"inputs": "x"}, {"headers": headers})

    (request,) = inference_requests(emulator.requests)
    assert {name.lower(): value for name, value in headers.items()}.items() <= dict(request.headers).items()
