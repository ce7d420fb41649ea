"""Bytes to events: the rules of server-sent events, lines of JSON, and an array that comes in pieces."""

import pytest

from blaxel_mcp.apis.streams import MAX_EVENT_BYTES, Event, EventDecoder, event_decoder
from blaxel_mcp.core.exceptions import UpstreamError

GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def decoder_for(content_type: str, path: str = "") -> EventDecoder:
    decoder = event_decoder(content_type, path)
    assert decoder is not None
    return decoder


def decode(decoder: EventDecoder, content: bytes, size: int = 1 << 20) -> tuple[list[Event], bool]:
    events = [event for at in range(0, len(content), size) for event in decoder.feed(content[at : at + size])]
    events += decoder.finish()
    return events, decoder.unfinished


def message(data: str) -> Event:
    return Event("message", data)


@pytest.mark.parametrize(
    ("content", "events"),
    [
        pytest.param(b"data: a\n\n", [message("a")], id="an event"),
        pytest.param(b"data:a\n\ndata:  b\n\n", [message("a"), message(" b")], id="one space is not data"),
        pytest.param(
            b"event: ping\ndata: {}\n\ndata: x\n\n", [Event("ping", "{}"), message("x")], id="a name is for one"
        ),
        pytest.param(b"event: a\nevent: b\ndata: x\n\n", [Event("b", "x")], id="the last name counts"),
        pytest.param(b"data: a\ndata\ndata: b\n\n", [message("a\n\nb")], id="several lines"),
        pytest.param(b"data\n\n", [message("")], id="data without a value"),
        pytest.param(b"event: a\n\ndata: x\n\n", [message("x")], id="a name without data is no event"),
        pytest.param(b": hello\n:\n\n: data: x\n\ndata: a\n\n", [message("a")], id="comments"),
        pytest.param(b"data: a\n: between\ndata: b\n\n", [message("a\nb")], id="a comment inside an event"),
        pytest.param(b"id: 7\nretry: 10\ndata: a\nfoo: bar\nDATA: x\n\n", [message("a")], id="other fields"),
        pytest.param(b"\n\n\r\n\rdata: a\n\n\n\n", [message("a")], id="empty lines"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [message("a")], id="a byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], id="only one byte order mark is taken off"),
        pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [message("a")], id="none later on"),
        pytest.param("data: \u2028é\x0b\x85😀\n\n".encode(), [message("\u2028é\x0b\x85😀")], id="no other line ends"),
        pytest.param(b"data: \xff\xc3\n\n", [message("\ufffd\ufffd")], id="bytes that are not UTF-8"),
        pytest.param(
            b"data: a\r\rdata: b\r\n\r\ndata: c\n\r\n", [message("a"), message("b"), message("c")], id="mixed"
        ),
        pytest.param(b"data: a: b\n\n", [message("a: b")], id="a colon in the data"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_server_sent_events_follow_the_rules(content: bytes, events: list[Event]) -> None:
    for size in (1, 2, 3, 100):
        assert decode(decoder_for("text/event-stream"), content, size) == (events, False), f"in chunks of {size}"


@pytest.mark.parametrize(
    ("rest", "unfinished"),
    [
        pytest.param(b"data: b", True, id="in a line"),
        pytest.param(b"data: b\n", True, id="before the empty line"),
        pytest.param(b"event: b\n", True, id="after the name"),
        pytest.param(b"d", True, id="in a field's name"),
        pytest.param(b": comm", False, id="in a comment"),
        pytest.param(b": comment\n", False, id="after a comment"),
    ],
)
def test_an_event_that_nothing_ends_is_left_out_and_told(rest: bytes, unfinished: bool) -> None:
    assert decode(decoder_for("text/event-stream"), b"data: a\n\n" + rest) == ([message("a")], unfinished)


def test_an_event_is_handed_out_at_the_carriage_return_that_ends_it() -> None:
    decoder = decoder_for("text/event-stream")

    assert decoder.feed(b"data: a\r\n\r") == [message("a")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\ndata: b\n\n") == [message("b")]


@pytest.mark.parametrize(
    ("content", "events", "unfinished"),
    [
        pytest.param(b'{"a":1}\n{"a":2}\n', ['{"a":1}', '{"a":2}'], False, id="lines"),
        pytest.param(b'{"a":1}\r\n\r\n \r\n{"a":2}', ['{"a":1}', '{"a":2}'], False, id="no end at the last"),
        pytest.param(b'{"a":1}\n{"a":', ['{"a":1}'], True, id="cut in the last"),
        pytest.param(b'{"a":1}\n  ', ['{"a":1}'], False, id="white space at the end"),
        pytest.param(b"", [], False, id="nothing"),
    ],
)
def test_lines_of_json_are_events(content: bytes, events: list[str], unfinished: bool) -> None:
    decoder = decoder_for("application/x-ndjson")

    assert decode(decoder, content) == ([message(data) for data in events], unfinished)


@pytest.mark.parametrize(
    ("content", "events", "unfinished"),
    [
        pytest.param(b'[{"a":1},\r\n{"a":[{}]}]', ['{"a":1}', '{"a":[{}]}'], False, id="an array"),
        pytest.param(b"[]", [], False, id="an empty one"),
        pytest.param(b'[{"a":"]}\\"[{\\\\"}]', ['{"a":"]}\\"[{\\\\"}'], False, id="brackets in a string"),
        pytest.param(b'{"a":1}', ['{"a":1}'], False, id="an object alone"),
        pytest.param(b'[{"a":1},{"a"', ['{"a":1}'], True, id="cut in an object"),
        pytest.param(b'[{"a":1}', ['{"a":1}'], True, id="cut after an object"),
        pytest.param(b"", [], False, id="nothing"),
    ],
)
def test_objects_of_an_array_are_events(content: bytes, events: list[str], unfinished: bool) -> None:
    expected = ([message(data) for data in events], unfinished)

    for size in (1, 2, 3, 100):
        assert decode(decoder_for("application/json", GEMINI), content, size) == expected, f"in chunks of {size}"


@pytest.mark.parametrize(
    ("content_type", "path"),
    [("application/json", "/v1/chat/completions"), ("text/plain", ""), ("", ""), ("image/png", GEMINI)],
)
def test_what_is_no_stream_of_events_has_no_decoder(content_type: str, path: str) -> None:
    assert event_decoder(content_type, path) is None


@pytest.mark.parametrize(
    ("content_type", "path", "start"),
    [
        pytest.param("Text/Event-Stream;charset=utf-8", "", b"data: ", id="one line"),
        pytest.param("text/event-stream", "", b"a" * MAX_EVENT_BYTES, id="a line of nothing known"),
        pytest.param("application/x-ndjson", "", b'{"a":"', id="a line of JSON"),
        pytest.param("application/json", f"{GEMINI}?key=x", b'[{"a":"', id="an object"),
    ],
)
def test_an_event_longer_than_any_should_be_ends_the_reading(content_type: str, path: str, start: bytes) -> None:
    decoder = decoder_for(content_type, path)
    decoder.feed(start)

    with pytest.raises(UpstreamError, match="more than 10485760 bytes") as caught:
        decoder.feed(b"a" * MAX_EVENT_BYTES)

    assert (caught.value.code, caught.value.billed) == ("bad_response", "yes")


def test_many_lines_of_one_event_are_bounded_together() -> None:
    decoder = decoder_for("text/event-stream")
    line = b"data: " + b"a" * 1000 + b"\n"

    with pytest.raises(UpstreamError):
        decoder.feed(line * (MAX_EVENT_BYTES // 1000))


@pytest.mark.parametrize(
    ("content_type", "event"),
    [
        pytest.param("text/event-stream", b": still here\n\ndata: " + b"a" * 1000 + b"\n\n", id="server-sent events"),
        pytest.param("application/x-ndjson", b'{"a":"' + b"a" * 1000 + b'"}\n', id="lines of JSON"),
        pytest.param("application/json", b'{"a":"' + b"a" * 1000 + b'"},', id="objects of an array"),
    ],
)
def test_many_events_are_not_bounded_together(content_type: str, event: bytes) -> None:
    decoder = decoder_for(content_type, GEMINI)
    count = MAX_EVENT_BYTES // 900

    assert len(decoder.feed(event * count)) == count
