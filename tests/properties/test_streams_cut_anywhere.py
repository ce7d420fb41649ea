"""Event streams: the same answer for any chunks, no partial answer taken for a whole one, no crash for any bytes."""

import json
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.answer_stream import AnswerStream
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.inference.progress import Progress
from tests.properties.examples import any_text, json_values, nested, scalars, tried
from tests.properties.stream_formats import FORMATS, WRITTEN, Events, as_array, as_ndjson, as_sse, streams

GEMINI_PATH = "/v1beta/models/m:streamGenerateContent"


def nothing_secret(data: bytes) -> bytes:
    return data


def assembled(api: str | None, content_type: str, chunks: Sequence[bytes]) -> JSONAnswer:
    stream = AnswerStream(api, GEMINI_PATH, Progress(), nothing_secret)
    take = stream.listen({"content-type": content_type})
    assert take is not None
    for chunk in chunks:
        take(chunk)
    return stream.answer(200)


def answer_or_error(api: str | None, content_type: str, wire: bytes) -> JSONAnswer | BlaxelError:
    try:
        return assembled(api, content_type, [wire])
    except BlaxelError as error:
        return error


def cut(wire: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
    return [wire[start:end] for start, end in pairwise(ends)]


@tried(200)
@given(stream=streams, places=st.lists(st.integers(0, 10**6), max_size=30), byte_by_byte=st.booleans())
def test_the_answer_is_the_same_however_the_bytes_are_cut(
    stream: tuple[str, str, str, Events], places: list[int], byte_by_byte: bool
) -> None:
    api, content_type, line_end, events = stream
    wire = WRITTEN[content_type](events, line_end)
    chunks = [wire[at : at + 1] for at in range(len(wire))] if byte_by_byte else cut(wire, places)

    assert assembled(api, content_type, chunks) == assembled(api, content_type, [wire])


@tried(150)
@given(stream=streams)
def test_the_line_ends_and_the_way_of_writing_make_no_difference(stream: tuple[str, str, str, Events]) -> None:
    api, _, line_end, events = stream

    as_events = assembled(api, "text/event-stream", [as_sse(events, line_end)])
    assert as_events == assembled(api, "text/event-stream", [as_sse(events, "\n")])
    if not any(name for name, _ in events):
        assert as_events == assembled(api, "application/x-ndjson", [as_ndjson(events, line_end)])
    if api == "generate-content":
        assert as_events == assembled(api, "application/json", [as_array(events, line_end)])


@tried(300)
@given(stream=streams, part=st.floats(0, 1, exclude_max=True))
def test_a_partial_stream_is_never_a_whole_answer(stream: tuple[str, str, str, Events], part: float) -> None:
    api, content_type, line_end, events = stream
    wire = WRITTEN[content_type](events, line_end)
    whole = assembled(api, content_type, [wire])
    begun = answer_or_error(api, content_type, wire[: int(len(wire) * part)])

    if isinstance(begun, BlaxelError):
        assert (begun.code, begun.billed) == ("bad_response", "maybe")
    else:
        # The end of the answer was there; only the end of the stream may be missing.
        assert begun == whole


LINES = st.sampled_from(
    (
        *(
            "data: [DONE]",
            "data:",
            "event: error",
            "data: {",
            "data: {}",
            ": ping",
            "",
            "event: message_start",
            "data: null",
        ),
        *("[", "{", "}", "]", '"', "\\", ",", 'data: {"error": {}}', "id: 7", "retry: x", "\ufeff"),
    )
)
FIELDS = st.sampled_from(
    (
        *("type", "delta", "index", "choices", "candidates", "content", "parts", "message", "response", "item", "part"),
        *("output", "output_index", "content_index", "content_block", "tool_calls", "function", "arguments", "usage"),
        *("error", "text", "finish_reason", "citations", "summary", "id", "role", "logprobs", "promptFeedback"),
        *("partial_json", "signature"),
    )
)
KINDS = st.sampled_from(
    (
        *("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"),
        *(
            "content-delta",
            "message-end",
            "tool-call-delta",
            "citation-start",
            "error",
            "text_delta",
            "text",
            "thinking",
        ),
        *(
            "response.created",
            "response.output_item.added",
            "response.output_text.delta",
            "response.content_part.added",
        ),
        *("response.content_part.added", "response.output_text.annotation.added", "input_json_delta"),
        *(
            "response.function_call_arguments.delta",
            "response.reasoning_summary_text.done",
            "citations_delta",
            "message",
            "-1",
            "output_text",
        ),
    )
)
crooked = st.recursive(
    scalars | KINDS | any_text | st.integers(-3, 5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=15,
)
crooked_events = st.dictionaries(FIELDS, crooked, max_size=6) | json_values | nested(any_text)


@tried(150)
@given(
    api=st.sampled_from([*FORMATS, None]),
    content_type=st.sampled_from(list(WRITTEN)),
    lines=st.lists(
        LINES.map(str.encode)
        | crooked_events.map(lambda value: b"data: " + json.dumps(value).encode())
        | crooked_events.map(lambda value: json.dumps(value).encode())
        | st.binary(max_size=30),
        max_size=8,
    ),
    line_end=st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n"]),
)
@example(
    api="responses",
    content_type="text/event-stream",
    lines=[b'data: {"type":"response.output_text.delta","output_index":1e999}'],
    line_end=b"\n\n",
)
@example(api=None, content_type="text/event-stream", lines=[b'data: {"x": 1e999}'], line_end=b"\n\n")
@example(api=None, content_type="application/x-ndjson", lines=[b"[" * 5000], line_end=b"\n")
def test_any_bytes_are_an_answer_or_a_blaxel_error(
    api: str | None, content_type: str, lines: list[bytes], line_end: bytes
) -> None:
    found = answer_or_error(api, content_type, b"".join(line + line_end for line in lines))

    if isinstance(found, BlaxelError):
        assert found.code in ("bad_response", "provider_error")
        found.partial.encode()
    else:
        assert json.loads(found.text) == found.value
        found.text.encode()


@pytest.mark.parametrize(
    ("content_type", "begin"),
    [("text/event-stream", b"data: "), ("application/x-ndjson", b'"'), ("application/json", b"[{")],
)
def test_an_event_in_single_bytes_takes_about_its_size_in_memory(content_type: str, begin: bytes) -> None:
    stream = AnswerStream("generate-content", GEMINI_PATH, Progress(), nothing_secret)
    take = stream.listen({"content-type": content_type})
    assert take is not None
    take(begin)
    tracemalloc.start()
    try:
        for _ in range(200_000):
            take(b"a")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000


def test_a_stream_with_too_many_values_is_response_too_large() -> None:
    # Parsed values take many times their bytes: gigabytes at the usual limit of 64 MiB.
    event = b"data: [" + b"[]," * (json_text.MAX_VALUES // 4) + b"0]\n\n"

    with pytest.raises(BlaxelError) as refused:
        assembled(None, "text/event-stream", [event] * 3)

    assert (refused.value.code, refused.value.billed) == ("response_too_large", "yes")
