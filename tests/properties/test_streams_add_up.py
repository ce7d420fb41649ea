"""Streams add up to the same answer however their lines end, and to some answer whatever their events are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.apis.streams import Event
from blaxel_mcp.core import json_text
from tests.properties.examples import tried
from tests.support.streams import STREAMS, assembled, read

SERVER_SENT = [file for file in STREAMS if file.suffix == ".sse"]
APIS = ("chat-completions", "responses", "messages", "generate-content", "cohere-chat", None)


@tried(60)
@given(
    stream=st.sampled_from(SERVER_SENT),
    # An LF after a CR would be the second half of a CRLF: such a mixture is another stream.
    line_ends=st.sampled_from([(b"\r\n",), (b"\r",)])
    | st.lists(st.sampled_from([b"\r\n", b"\r"]), min_size=1, max_size=9),
    size=st.sampled_from([1, 2, 3, 7, 1 << 20]),
)
def test_how_lines_end_makes_no_difference(stream: Path, line_ends: Sequence[bytes], size: int) -> None:
    *lines, rest = stream.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
    content = b"".join(line + line_ends[at % len(line_ends)] for at, line in enumerate(lines)) + rest

    assert read(stream, content, size=size) == read(stream)


@tried(120)
@given(
    api=st.sampled_from(APIS),
    events=st.lists(st.sampled_from([event for stream in STREAMS for event in read(stream).events]), min_size=1),
)
def test_events_of_several_formats_in_any_order_are_no_crash(api: str | None, events: list[Event]) -> None:
    assembler = assembled(events, api)

    assert isinstance(assembler.text, str)
    assert json_text.dump(assembler.value()).encode()


CHUNKS = st.lists(
    st.fixed_dictionaries(
        {
            "choices": st.lists(
                st.fixed_dictionaries(
                    {
                        "index": st.integers(0, 1),
                        "delta": st.fixed_dictionaries(
                            {"content": st.sampled_from(["", "a", "b\U0001f600", "\ud83d", None])},
                            optional={
                                "role": st.sampled_from(["assistant", None, ""]),
                                "reasoning": st.just("hm"),
                            },
                        ),
                    },
                    optional={"finish_reason": st.sampled_from([None, None, "stop", ""]), "logprobs": st.none()},
                ),
                min_size=1,
                max_size=2,
            ),
        },
        optional={
            "id": st.sampled_from(["c", ""]),
            "usage": st.sampled_from([None, {"total_tokens": 1}, {"total_tokens": 2}]),
            "p": st.sampled_from(["x", "yy"]),
            "system_fingerprint": st.sampled_from([None, "f"]),
        },
    ),
    max_size=8,
)


@tried(300)
@given(chunks=CHUNKS.filter(bool))
def test_chunks_of_words_alone_add_up_to_what_chunks_with_more_in_them_do(chunks: list[dict[str, Any]]) -> None:
    # The number of a token is no part of an answer.
    with_more = [
        {**chunk, "choices": [{**choice, "delta": {**choice["delta"], "token_id": 7}} for choice in chunk["choices"]]}
        for chunk in chunks
    ]
    words, others = (
        assembled([Event("message", json.dumps(chunk)) for chunk in each], "chat-completions")
        for each in (chunks, with_more)
    )

    assert repr(words.value()) == repr(others.value())
    assert (words.text, words.characters, words.complete) == (others.text, others.characters, others.complete)
