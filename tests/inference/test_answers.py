"""What an answer is told to be, by what it says it is and by what it really is."""

import io
import wave

import pytest

from blaxel_mcp.core.exceptions import UpstreamError
from blaxel_mcp.core.media_types import OPAQUE
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer, read_answer

PNG = b"\x89PNG\r\n\x1a\n rest of the picture"
ONE = JSONAnswer('{"a":1}', {"a": 1})


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        pytest.param("application/json", b'{"a": 1}', JSONAnswer('{"a":1}', {"a": 1}), id="JSON"),
        pytest.param("Application/JSON; charset=utf-8", b"[1]", JSONAnswer("[1]", [1]), id="with a charset"),
        pytest.param("application/problem+json", b"1", JSONAnswer("1", 1), id="a kind of JSON"),
        pytest.param("application/json; charset=latin-1", b'"\xe9"', JSONAnswer('"é"', "é"), id="JSON in a charset"),
        pytest.param("application/json; charset=utf-16", '{"a":1}'.encode("utf-16"), ONE, id="JSON in UTF-16"),
        pytest.param("application/json", b"\xef\xbb\xbf{}", JSONAnswer("{}", {}), id="with a byte order mark"),
        pytest.param("application/json", b"", JSONAnswer("null", None), id="empty"),
        pytest.param("", b" \n", JSONAnswer("null", None), id="blank"),
        pytest.param("", b'{"a": 1}', JSONAnswer('{"a":1}', {"a": 1}), id="undeclared JSON"),
        pytest.param("", b"hello", TextAnswer("hello"), id="undeclared text"),
        pytest.param("", b"\xff\x00\xfe", BinaryAnswer(b"\xff\x00\xfe", "application/octet-stream"), id="undeclared"),
        pytest.param("text/plain", b'{"a":  1}', TextAnswer('{"a":  1}'), id="text, verbatim"),
        pytest.param("text/plain; charset=latin-1", b"\xe9", TextAnswer("é"), id="text in another charset"),
        pytest.param("text/plain; charset=none-such", b"e", TextAnswer("e"), id="text in an unknown charset"),
        pytest.param("text/event-stream", b"data: 1\n\n", TextAnswer("data: 1\n\n"), id="an event stream"),
        pytest.param("image/png", PNG, BinaryAnswer(PNG, "image/png"), id="a picture"),
        pytest.param("application/octet-stream", PNG, BinaryAnswer(PNG, "image/png"), id="a picture undeclared"),
        pytest.param("image/jpeg", PNG, BinaryAnswer(PNG, "image/png"), id="a picture declared as another kind"),
        pytest.param("audio/mpeg", b"ID3 sound", BinaryAnswer(b"ID3 sound", "audio/mpeg"), id="a sound"),
        pytest.param("application/zip; x=1", b"PK\x03", BinaryAnswer(b"PK\x03", "application/zip"), id="anything else"),
    ],
)
def test_an_answer_is_what_its_content_shows(content_type: str, body: bytes, answer: Answer) -> None:
    assert read_answer(200, {"content-type": content_type}, body) == answer


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("text/html", b"<p>hello", id="declared HTML"),
        pytest.param("application/json", b"\n<!DOCTYPE html><title>504</title>", id="HTML that claims to be JSON"),
        pytest.param("", b"<html><body>", id="undeclared HTML"),
        pytest.param("application/json", b'{"a":', id="half of JSON"),
        pytest.param("application/json", b'{"a": NaN}', id="NaN"),
        pytest.param("application/json", b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param("application/json", b"[" * 100_000, id="too deep"),
    ],
)
def test_a_page_and_broken_json_are_no_answers_and_are_not_shown(content_type: str, body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_answer(200, {"content-type": content_type}, body, request_id="req-1")

    error = caught.value
    assert (error.code, error.status, error.request_id, error.billed) == ("bad_response", 200, "req-1", "maybe")
    assert "<" not in str(error)
    assert "req-1" in str(error)


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "application/octet-stream", "image/png", "x", ""])
def test_json_is_json_under_any_type_if_the_api_answers_json(content_type: str) -> None:
    answer = read_answer(200, {"content-type": content_type}, b' {"a": 1}', api="chat-completions")

    assert answer == JSONAnswer('{"a":1}', {"a": 1})


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        pytest.param("text/html", b'{"a": 1}', JSONAnswer('{"a":1}', {"a": 1}), id="the default of web frameworks"),
        pytest.param("image/png", b"no gpu left", TextAnswer("no gpu left"), id="words in the place of a picture"),
        pytest.param("image/png", b"\x00\xff", BinaryAnswer(b"\x00\xff", OPAQUE), id="no picture at all"),
        pytest.param("image/bmp", b"\x00\xff", BinaryAnswer(b"\x00\xff", "image/bmp"), id="another picture"),
        pytest.param("image/svg+xml", b"<svg/>", BinaryAnswer(b"<svg/>", "image/svg+xml"), id="a drawing"),
        pytest.param("text/plain", b"ID3 is a tag of MP3", TextAnswer("ID3 is a tag of MP3"), id="a text like a sound"),
        pytest.param("text/html", PNG, BinaryAnswer(PNG, "image/png"), id="a picture that claims to be a page"),
        pytest.param("application/json", PNG, BinaryAnswer(PNG, "image/png"), id="a picture that claims to be JSON"),
        pytest.param("a/b; c", b"hello", TextAnswer("hello"), id="text of no valid type"),
        pytest.param("a. b", b"\x00\xff", BinaryAnswer(b"\x00\xff", OPAQUE), id="bytes of no valid type"),
    ],
)
def test_content_goes_before_the_declared_type(content_type: str, body: bytes, answer: Answer) -> None:
    assert read_answer(200, {"content-type": content_type}, body) == answer


@pytest.mark.parametrize(
    "declared", ["audio/L16; rate=16000", "audio/l16;codec=pcm;rate=16000", "audio/pcm;rate=16000"]
)
def test_raw_audio_is_wrapped_with_its_declared_rate(declared: str) -> None:
    answer = read_answer(200, {"content-type": declared}, bytes(range(256)))

    assert isinstance(answer, BinaryAnswer)
    assert answer.media_type == "audio/wav"
    with wave.open(io.BytesIO(answer.data)) as file:
        assert (file.getframerate(), file.readframes(999)) == (16_000, bytes(range(256)))


def test_json_that_broke_off_is_kept_as_the_part_that_came() -> None:
    with pytest.raises(UpstreamError) as caught:
        read_answer(200, {"content-type": "application/json"}, b'{"choices": [{"text": "Hi th')

    assert caught.value.partial == '{"choices": [{"text": "Hi th'
