"""What the benchmarks send and answer: both ends are written by hand, so that they cost little."""

import json

import pytest

from benchmarks.driver import BenchmarkError, Call, check
from benchmarks.http_driver import message_in, request
from benchmarks.models import EVENT_COUNT, PROMPT, model_names
from benchmarks.peers import openapi_document
from benchmarks.upstream import event_stream, records


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_large_answer_has_its_size_within_a_percent(size: int) -> None:
    assert 0.99 * size < len(json.dumps(records(size))) < 1.01 * size


def test_a_stream_has_its_number_of_events_each_in_a_chunk() -> None:
    head, _, body = event_stream(EVENT_COUNT).partition(b"\r\n\r\n")

    assert b"chunked" in head
    assert body.count(b"data: ") == EVENT_COUNT
    assert body.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("count", [10, 1000])
def test_as_many_models_as_wanted_have_names_of_letters_and_digits(count: int) -> None:
    names = model_names(count)

    assert len(set(names)) == count
    assert all(name.isalnum() for name in names)
    assert len(openapi_document(count)["paths"]) == count


def test_a_request_over_http_says_its_era() -> None:
    call = Call("tool", {"prompt": PROMPT})

    assert b"MCP-Protocol-Version: 2025-06-18\r\n" in request(call, "2025", 80)
    assert b"MCP-Name: tool\r\n" in request(call, "2026", 80)


@pytest.mark.parametrize(
    "body", [b'{"id": 1}', b'event: message\r\ndata: {"id": 1}\r\n\r\n', b': ping\n\ndata:{"id": 1}\n\n']
)
def test_the_message_of_an_http_answer_is_found_in_either_form(body: bytes) -> None:
    assert json.loads(message_in(body)) == {"id": 1}


@pytest.mark.parametrize("answer", [{"error": {"code": 1}}, {"result": {"isError": True}}])
def test_an_answer_with_an_error_is_no_measurement(answer: dict[str, object]) -> None:
    with pytest.raises(BenchmarkError, match="the server answered"):
        check(json.dumps(answer).encode())
