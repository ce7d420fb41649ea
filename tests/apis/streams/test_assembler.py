"""Streams of each provider, odd endings included, and the answers that they add up to.

Each stream in `data` is in the format that the provider documents, with made-up ids. The file
beside it holds the expected result, above all the provider's own answer without a stream.
"""

import json
from pathlib import Path

import pytest

from blaxel_mcp.apis.streams import Event, FormatChooser
from blaxel_mcp.core import json_text
from tests.support.streams import FOLDER, REPLACEMENTS, STREAMS, assembled, expected_of, mangled, read

APIS = ("chat-completions", "responses", "messages", "generate-content", "cohere-chat", None)

streams = pytest.mark.parametrize("stream", [pytest.param(file, id=file.stem) for file in STREAMS])


@streams
def test_a_stream_adds_up_to_the_answer_without_a_stream(stream: Path) -> None:
    expected = expected_of(stream)

    decoded = read(stream)
    assembler = assembled(decoded.events, expected["api"])

    assert assembler.value() == expected["value"]
    assert {
        "api": expected["api"],
        "text": assembler.text,
        "characters": assembler.characters,
        "complete": assembler.complete,
        "unfinished": decoded.unfinished,
        "error": assembler.error,
        "reason": assembler.incomplete_reason(unfinished=decoded.unfinished),
        "value": assembler.value(),
    } == expected


@streams
def test_where_a_stream_is_cut_into_chunks_makes_no_difference(stream: Path) -> None:
    whole = read(stream)

    for size in (1, 2, 3, 7):
        assert read(stream, size=size) == whole, f"in chunks of {size}"


@streams
def test_an_assembled_answer_can_be_written_as_it_stands(stream: Path) -> None:
    value = assembled(read(stream).events, expected_of(stream)["api"]).value()

    assert json_text.survives_as_value(json_text.dump(value), value)


@streams
def test_looking_at_an_answer_while_it_comes_does_not_change_it(stream: Path) -> None:
    events, expected = read(stream).events, expected_of(stream)
    chooser, assembler, seen = FormatChooser(expected["api"]), None, [""]
    for event in events:
        if assembler:
            assembler.feed(event)
        else:
            assembler = chooser.choose([event])
        if assembler:
            assembler.value()
            seen.append(assembler.text)

    assembler = assembler or chooser.choose([], ended=True)
    assert assembler is not None
    seen.append(assembler.text)
    assert assembler.value() == expected["value"]
    assert sorted(seen, key=len) == seen
    assert seen[-1] == expected["text"]


@pytest.mark.parametrize(
    "name", ["openai_chat_azure", "openai_responses", "anthropic_tool_use", "gemini_parts", "cohere_tool_calls"]
)
def test_a_format_is_recognised_by_its_first_event(name: str) -> None:
    stream = FOLDER / f"{name}.sse"

    assert assembled(read(stream).events, None).value() == expected_of(stream)["value"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai_chat_text"),
        ("/openai/deployments/x/chat/completions?api-version=2024-10-21", "openai_chat_azure"),
        ("/v1/responses", "openai_responses"),
        ("/v1/messages?beta=true", "anthropic_tool_use"),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini_parts"),
        ("/v2/chat", "cohere_tool_calls"),
    ],
)
def test_a_format_is_known_by_the_path_whatever_comes_first(path: str, name: str) -> None:
    stream = FOLDER / f"{name}.sse"
    events = [Event("ping", '{"type":"ping"}'), *read(stream).events]

    value = assembled(events, path).value()

    assert {**value, "type": None} == {**expected_of(stream)["value"], "type": None}


@streams
def test_no_stream_of_another_format_is_a_crash(stream: Path) -> None:
    events = read(stream).events

    for api in APIS:
        assembler = assembled(events, api)
        assert isinstance(assembler.text, str), api
        assert json_text.dump(assembler.value()).encode(), api


@pytest.mark.parametrize(
    "name",
    [
        "openai_chat_tool_calls",
        "openai_chat_content_parts",
        "openai_chat_azure",
        "openai_responses",
        "anthropic_tool_use",
        "anthropic_thinking_and_citations",
        "gemini_parts",
        "cohere_tool_calls",
        "cohere_text_with_citations",
        "generic_token_stream",
    ],
)
def test_a_field_of_another_type_is_no_crash(name: str) -> None:
    stream = FOLDER / f"{name}.sse"
    events, api = read(stream).events, expected_of(stream)["api"]
    datas = [json.loads(event.data) if event.data.startswith("{") else event.data for event in events]
    for at, data in enumerate(datas):
        # Every other one: a field comes in many events, and so meets all of them.
        for changed in (changed for value in REPLACEMENTS[at % 2 :: 2] for changed in mangled(data, value)):
            odd = Event(events[at].name, json.dumps(changed))
            assembler = assembled([*events[:at], odd, *events[at + 1 :]], api)

            assert isinstance(assembler.text, str)
            assert json_text.dump(assembler.value()).encode()


def test_an_event_that_nests_too_deeply_is_left_out_and_counted() -> None:
    deep = '{"choices":[{"index":0,"delta":' + '{"a":' * 200 + "1" + "}" * 200 + "}]}"
    assembler = assembled([Event("message", deep)], "chat-completions")

    assert (assembler.unreadable, assembler.value()["choices"]) == (1, [])


def test_an_event_with_many_brackets_side_by_side_is_read() -> None:
    wide = json.dumps({"choices": [{"index": 0, "delta": {"content": "x", "parts": [[]] * 200}}]})

    assert assembled([Event("message", wide)], "chat-completions").text == "x"


def test_the_first_of_several_errors_is_the_one_that_is_told() -> None:
    events = [Event("error", "out of memory"), Event("message", '{"error": {"message": "stream closed"}}')]

    assert assembled(events, "chat-completions").error == "out of memory"


def test_half_a_character_at_the_end_of_what_came_can_still_be_written() -> None:
    assembler = assembled([Event("message", r'{"choices":[{"index":0,"delta":{"content":"hi \ud83d"}}]}')], None)

    assert assembler.text == "hi �"

    assembler.feed(Event("message", r'{"choices":[{"index":0,"delta":{"content":"\ude00"}}]}'))
    assert assembler.text == "hi 😀"


def test_absurd_indexes_cost_no_memory() -> None:
    place = {"output_index": 10**12, "content_index": 10**12}
    data = json.dumps({"type": "response.output_text.delta", **place, "delta": "x"})
    assembler = assembled([Event("message", data), Event("message", data)], "responses")

    assert len(assembler.value()["output"][0]["content"]) <= 1000


@pytest.mark.timeout(60)
def test_what_a_delta_costs_does_not_grow_with_what_came_before() -> None:
    # Two seconds; if each delta copied the text before it, some minutes.
    delta = Event("message", json.dumps({"choices": [{"index": 0, "delta": {"content": "0123456789" * 10}}]}))
    assembler = assembled([delta] * 200_000, "chat-completions")

    assert assembler.characters == len(assembler.text) == 20_000_000


def test_a_stream_that_breaks_after_the_answer_was_complete_lost_nothing() -> None:
    stream = FOLDER / "openai_chat_text.sse"
    assembler = assembled(read(stream).events, "chat-completions")

    assert assembler.incomplete_reason(unfinished=True) is None


def test_what_a_provider_says_of_an_error_is_quoted_without_what_looks_like_a_key() -> None:
    error = {"message": f"Bad key sk-{'a1' * 20}\n" + "and more " * 200}
    assembler = assembled([Event("message", json.dumps({"error": error}))], "chat-completions")

    reason = assembler.incomplete_reason()

    assert reason is not None
    assert "[redacted]" in reason
    assert "sk-a1" not in reason
    assert len(reason) < 600


def test_an_error_without_words_is_told_by_its_code() -> None:
    assembler = assembled([Event("message", '{"error": {"code": 503, "message": ""}}')], "generate-content")

    assert assembler.incomplete_reason() == 'The provider ended its stream with an error: "503".'


def test_every_file_of_expectations_has_its_stream() -> None:
    expectations = {file.name.removesuffix(".expected.json") for file in FOLDER.glob("*.expected.json")}

    assert expectations == {file.stem for file in STREAMS}
    assert len(STREAMS) == len(expectations)
