"""Formats in their less usual shapes: each adds up to the provider's plain answer, and loses nothing that is new."""

import base64
import json
from typing import Any

import pytest

from blaxel_mcp.apis.streams import Assembler, Event, FormatChooser
from blaxel_mcp.apis.streams.chat_completions import ChatCompletionsAssembler
from blaxel_mcp.core import json_text
from tests.support.streams import REPLACEMENTS, mangled


def assembled(*datas: dict[str, Any] | str, api: str | None = None) -> Assembler:
    """The assembler for these events, after the last one."""
    events = [Event("message", data if isinstance(data, str) else json.dumps(data)) for data in datas]
    assembler = FormatChooser(api).choose(events, ended=True)
    assert assembler is not None
    return assembler


def chunk(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", **fields}


def test_an_unknown_delta_of_a_block_leaves_its_data_in_the_block() -> None:
    assembler = assembled(
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "sketch", "strokes": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "sketch_delta", "strokes": "ab", "pen": {"w": 1}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "sketch_delta", "strokes": "cd"}},
        {"type": "message_stop"},
    )

    assert assembler.value()["content"] == [{"type": "sketch", "strokes": "abcd", "pen": {"w": 1}}]
    assert assembler.complete


@pytest.mark.parametrize(
    ("first", "end"),
    [
        ({"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"}),
        ({"type": "message-start", "id": "m"}, {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
        (chunk(choices=[{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]), "[DONE]"),
        ({"event_type": "stream-start", "generation_id": "g"}, {"event_type": "stream-end", "response": {"text": ""}}),
        ({"event_type": "interaction.created", "interaction": {"id": "i"}}, {"event_type": "interaction.completed"}),
        ({"type": "transcript.text.delta", "delta": "a"}, {"type": "transcript.text.done", "text": "a"}),
        ({"model": "m", "message": {"content": "a"}, "done": False}, {"model": "m", "done": True}),
    ],
    ids=["messages", "cohere", "chat", "cohere v1", "interactions", "transcriptions", "ollama"],
)
def test_an_unknown_event_leaves_its_data_in_the_answer(first: dict[str, Any], end: dict[str, Any] | str) -> None:
    news = {"type": "brand_new_event", "event_type": "brand_new_event", "payload": [1]}

    assembler = assembled(first, news, end)

    assert assembler.value()["unknown_events"] == [news]
    assert assembler.incomplete_reason() is None


def test_a_complete_response_needs_none_of_the_events_before_it() -> None:
    assembler = assembled(
        {"type": "response.created", "response": {"id": "r", "output": []}},
        {"type": "response.novelty.started", "output_index": 0},
        {"type": "response.completed", "response": {"id": "r", "output": [{"type": "novelty"}]}},
    )

    assert assembler.value() == {"id": "r", "output": [{"type": "novelty"}]}


@pytest.mark.parametrize(
    ("api", "events", "usage"),
    [
        (
            "messages",
            [
                {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 12, "output_tokens": 1}}},
                {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 0, "output_tokens": 9, "x": None}},
            ],
            {"input_tokens": 12, "output_tokens": 9, "x": None},
        ),
        (
            "chat-completions",
            [
                chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 3, "details": {"cached": 2}}),
                chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 0, "details": None}),
            ],
            {"prompt_tokens": 5, "completion_tokens": 3, "details": {"cached": 2}},
        ),
        (
            "generate-content",
            [
                {"candidates": [], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 7}},
                {"candidates": [], "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 16}},
            ],
            {"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16},
        ),
    ],
)
def test_known_usage_is_never_replaced_by_less(api: str, events: list[dict[str, Any]], usage: dict[str, Any]) -> None:
    value = assembled(*events, api=api).value()

    assert value.get("usage", value.get("usageMetadata")) == usage


def test_a_second_message_with_the_same_id_continues_the_first() -> None:
    start = {"type": "message_start", "message": {"id": "m", "content": []}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}}

    assert assembled(start, block, start).text == "a"


def test_blocks_that_follow_a_prefilled_start_come_after_it() -> None:
    assembler = assembled(
        {"type": "message_start", "message": {"id": "m", "content": [{"type": "tool_use", "id": "t", "input": {}}]}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Then."}},
        {"type": "message_stop"},
    )

    assert [block["type"] for block in assembler.value()["content"]] == ["tool_use", "text"]
    assert assembler.text == "Then."


def test_usage_in_a_choice_is_that_of_the_answer() -> None:
    usage = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}

    value = assembled(chunk(choices=[{"index": 0, "delta": {"content": "Hi"}}]), chunk(choices=[choice])).value()

    assert value["usage"] == usage
    assert "usage" not in value["choices"][0]


def test_groq_keeps_its_own_fields_once() -> None:
    assembler = assembled(
        chunk(choices=[{"index": 0, "delta": {"content": "a"}}], x_groq={"id": "req", "seed": 4}),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], x_groq={"id": "req", "usage": {"n": 1}}),
    )

    assert assembler.value()["x_groq"] == {"id": "req", "seed": 4}
    assert assembler.value()["usage"] == {"n": 1}


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_of_several_pictures_each_final_one_is_kept_and_no_partial_one(kind: str) -> None:
    final = {"type": f"{kind}.completed", "created_at": 7, "size": "1x1", "usage": {"total_tokens": 3}}
    assembler = assembled(
        {"type": f"{kind}.partial_image", "b64_json": "cGFydA==", "partial_image_index": 0},
        {**final, "b64_json": "b25l"},
        {**final, "b64_json": "dHdv"},
    )

    assert assembler.value() == {
        "size": "1x1",
        "usage": {"total_tokens": 3},
        "created": 7,
        "data": [{"b64_json": "b25l"}, {"b64_json": "dHdv"}],
    }
    assert assembler.complete


def test_a_stream_of_partial_pictures_alone_is_not_complete() -> None:
    assembler = assembled({"type": "image_generation.partial_image", "b64_json": "cGFydA=="})

    assert assembler.incomplete_reason()


def test_a_diarized_transcription_keeps_its_segments() -> None:
    segment = {"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 1.0, "speaker": "A", "text": "Hi."}
    assembler = assembled(segment, {"type": "transcript.text.done", "text": "Hi.", "usage": {"type": "duration"}})

    assert assembler.value() == {"text": "Hi.", "segments": [segment], "usage": {"type": "duration"}}
    assert assembler.text == "Hi."


def test_mistrals_transcription_events_are_the_same_kind() -> None:
    done = {"model": "voxtral", "text": "Salut.", "language": "fr", "segments": [], "usage": {"total_tokens": 3}}
    assembler = assembled(
        {"type": "transcription.language", "audio_language": "fr"},
        {"type": "transcription.text.delta", "text": "Sal"},
        {"type": "transcription.text.delta", "text": "ut."},
        {"type": "transcription.segment", "text": "Salut.", "start": 0.0, "end": 0.5},
        {"type": "transcription.done", **done},
    )

    assert assembler.value() == {**done, "segments": [{"text": "Salut.", "start": 0.0, "end": 0.5}]}
    assert assembler.text == "Salut."


def test_a_chat_of_cohere_version_1_is_the_same_as_events_and_as_lines() -> None:
    events: list[dict[str, Any]] = [
        {"event_type": "stream-start", "generation_id": "g"},
        {"event_type": "search-results", "documents": [{"id": "d"}]},
        {"event_type": "text-generation", "text": "Ja."},
    ]
    broken_off = assembled(*events)
    whole = assembled(*events, {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": "Ja."}})

    assert broken_off.value() == {"text": "Ja.", "generation_id": "g", "documents": [{"id": "d"}]}
    assert broken_off.incomplete_reason()
    assert whole.value()["finish_reason"] == "COMPLETE"
    assert whole.incomplete_reason() is None


def test_a_chat_of_cohere_version_1_that_fails_at_its_end_is_an_error() -> None:
    assembler = assembled({"event_type": "stream-end", "finish_reason": "ERROR_TOXIC", "response": {"text": ""}})

    assert "ERROR_TOXIC" in (assembler.incomplete_reason() or "")


def test_an_interaction_has_its_thoughts_beside_its_text() -> None:
    assembler = assembled(
        {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "thought_signature", "signature": "c2ln"}},
        {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Moss"}},
        {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": " grows."}},
        {"event_type": "interaction.completed", "interaction": {"id": "i", "status": "completed", "steps": []}},
    )

    assert assembler.text == "Moss grows."
    assert assembler.value() == {
        "id": "i",
        "status": "completed",
        "steps": [
            {"type": "thought", "signature": "c2ln"},
            {"type": "model_output", "content": [{"type": "text", "text": "Moss grows."}]},
        ],
    }


@pytest.mark.parametrize(("field", "path"), [("response", "/api/generate"), ("message", "/api/chat")])
def test_ollamas_lines_add_up_and_need_their_end(field: str, path: str) -> None:
    def line(text: str, **more: Any) -> dict[str, Any]:
        return {"model": "m", field: text if field == "response" else {"role": "assistant", "content": text}, **more}

    lines = [line("Hel", done=False), line("lo", done=False)]
    whole = assembled(*lines, line("", done=True, done_reason="stop", eval_count=2), api=path)

    assert whole.text == "Hello"
    assert whole.value() == line("Hello", done=True, done_reason="stop", eval_count=2)
    assert whole.incomplete_reason() is None
    assert assembled(*lines, api=path).incomplete_reason()


def test_each_line_of_ollamas_has_tool_calls_of_its_own() -> None:
    def call(name: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": {}}}]}
        return {"model": "m", "message": message, "done": False}

    calls = assembled(call("a"), call("b")).value()["message"]["tool_calls"]

    assert [each["function"]["name"] for each in calls] == ["a", "b"]


def test_each_line_of_ollamas_has_log_probabilities_of_its_own() -> None:
    lines = [{"message": {"content": word}, "done": False, "logprobs": [{"token": word}]} for word in ("a", "b")]

    assembler = assembled(*lines, {"done": True, "message": {"content": ""}})

    assert assembler.value()["logprobs"] == [{"token": "a"}, {"token": "b"}]


def test_an_interaction_that_has_failed_is_an_error() -> None:
    created = {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}}
    failed = {"event_type": "interaction.completed", "interaction": {"id": "i", "status": "failed"}}

    assert assembled(created, failed).incomplete_reason() is not None


def test_the_pieces_of_a_recording_are_one_recording() -> None:
    sound = b"ID3" + bytes(range(200))
    pieces = [base64.b64encode(sound[start : start + 50]).decode() for start in range(0, len(sound), 50)]
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    deltas = [{"type": "speech.audio.delta", "audio": piece} for piece in pieces]

    assembler = assembled(*deltas, {"type": "speech.audio.done", "usage": usage})

    assert assembler.ended
    assert assembler.value() == {"audio": base64.b64encode(sound).decode(), "usage": usage}
    assert assembled(*deltas).incomplete_reason() is not None


@pytest.mark.parametrize(
    ("more", "last"),
    [
        pytest.param(
            {"token": {"text": "Hel"}, "generated_text": None},
            {"token": {"text": "lo"}, "generated_text": "Hello"},
            id="text-generation-inference",
        ),
        pytest.param({"content": "Hel", "stop": False}, {"content": "lo", "stop": True}, id="llama.cpp"),
        pytest.param({"text": "Hel", "is_finished": False}, {"text": "lo", "is_finished": True}, id="finished"),
    ],
)
def test_events_that_tell_whether_they_are_the_last_are_complete_with_the_last(
    more: dict[str, Any], last: dict[str, Any]
) -> None:
    whole, broken = assembled(more, last), assembled(more)

    assert whole.incomplete_reason() is None
    assert whole.text == "Hello"
    assert broken.incomplete_reason() == "The stream ended without the provider's end marker."
    assert broken.text == "Hel"


@pytest.mark.parametrize("event", [{"content": "a", "stop": None}, {"content": "a", "done": "no"}, {"content": "a"}])
def test_events_that_do_not_tell_whether_they_are_the_last_are_complete(event: dict[str, Any]) -> None:
    assert assembled(event, event).incomplete_reason() is None


def test_a_stream_in_another_format_than_its_path_says_is_read_by_its_events() -> None:
    words: list[dict[str, Any]] = [{"event": "word", "content": word} for word in ("To", "day", " ", "it", " rains.")]
    messages: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"}]

    assert assembled(*words, api="/v1/completions").text == "Today it rains."
    assert assembled(*words, api="/v1/completions").incomplete_reason() is None
    assert assembled(*messages, api="chat-completions").value() == {"id": "m", "content": []}


def test_a_null_in_place_of_an_error_does_not_decide_the_format() -> None:
    lines = [{"message": {"content": "a"}, "done": False, "error": None}, {"message": {}, "done": True, "error": None}]

    assert assembled(*lines, api="chat-completions").value()["message"] == {"content": "a"}


def test_more_events_are_awaited_while_none_tells_the_format() -> None:
    ping, odd = Event("message", '{"type": "ping"}'), Event("message", '{"x": 1}')

    assert FormatChooser("chat-completions").choose([ping] * 50) is None
    assert FormatChooser(None).choose([ping, odd]) is None
    assert FormatChooser(None).choose([odd] * 5) is not None


def test_a_stream_that_shows_no_format_is_not_waited_for_without_end() -> None:
    ping = [Event("message", '{"type": "ping"}')] * 201
    words = [Event("message", "word")] * 201

    assert isinstance(FormatChooser("chat-completions").choose(ping), ChatCompletionsAssembler)
    unknown = FormatChooser(None).choose(words)
    assert unknown is not None
    assert unknown.value() == {"events": ["word"] * 201}


PARTIAL_ARGUMENTS: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "every type of value": (
        [
            {"jsonPath": "$.a", "numberValue": 1.5},
            {"jsonPath": "$.b", "boolValue": False},
            {"jsonPath": "$.c", "nullValue": "NULL_VALUE"},
            {"jsonPath": "$['d e']", "stringValue": "x"},
        ],
        {"a": 1.5, "b": False, "c": None, "d e": "x"},
    ),
    "arrays within arrays": (
        [{"jsonPath": "$.grid[1][0]", "numberValue": 7}, {"jsonPath": "$.grid[0][0]", "numberValue": 5}],
        {"grid": [[5], [7]]},
    ),
    "a string in pieces, and then another value of its name": (
        [
            {"jsonPath": "$.s", "stringValue": "a", "willContinue": True},
            {"jsonPath": "$.s", "stringValue": "b"},
            {"jsonPath": "$.s", "stringValue": "c"},
        ],
        {"s": "c"},
    ),
    "an absurd index": ([{"jsonPath": "$.a[99999999]", "numberValue": 1}], {}),
}


@pytest.mark.parametrize(("pieces", "arguments"), PARTIAL_ARGUMENTS.values(), ids=PARTIAL_ARGUMENTS.keys())
def test_arguments_in_pieces_become_the_arguments_of_one_call(pieces: list[dict[str, Any]], arguments: Any) -> None:
    def part(call: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"content": {"parts": [{"functionCall": call}]}}]}

    calls = [{"name": "f", "willContinue": True}, *({"partialArgs": [piece], "willContinue": True} for piece in pieces)]
    value = assembled(*map(part, calls), part({}), part({"name": "g", "args": {"x": 1}})).value()

    first, second = value["candidates"][0]["content"]["parts"]
    assert second == {"functionCall": {"name": "g", "args": {"x": 1}}}
    assert first["functionCall"]["name"] == "f"
    assert first["functionCall"]["args"] == arguments or "99999999" in json.dumps(pieces)
    assert len(json.dumps(first)) < 10_000


INTERACTION = [
    {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output", "content": []}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Moss"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "thought_summary", "content": {"text": "a"}}},
    {"event_type": "content.start", "index": 0, "content": {"type": "text"}},
    {"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": "b"}},
    {"event_type": "interaction.completed", "interaction": {"id": "i", "status": "completed"}},
]
OLLAMA = [
    {"model": "m", "message": {"content": "a", "tool_calls": [{"function": {"name": "f"}}]}, "done": False},
    {"model": "m", "message": {"content": "b", "thinking": "c"}, "done": False, "logprobs": [{"token": "b"}]},
    {"model": "m", "response": "d", "done": True, "eval_count": 2},
]
COHERE_V1 = [
    {"event_type": "stream-start", "generation_id": "g"},
    {"event_type": "citation-generation", "citations": [{"start": 0}], "text": "a"},
    {"event_type": "text-generation", "text": "a"},
    {"event_type": "stream-end", "response": {"text": "a", "citations": [{"start": 0}]}, "citations": [{"start": 1}]},
]
TRANSCRIPTION = [
    {"type": "transcript.text.segment", "text": "a", "start": 0.0},
    {"type": "transcript.text.delta", "delta": "a"},
    {"type": "transcript.text.done", "text": "a", "usage": {"total_tokens": 1}, "segments": []},
]
PICTURE = [
    {"type": "image_generation.partial_image", "b64_json": "aa"},
    {"type": "image_generation.completed", "b64_json": "aa", "created_at": 1, "usage": {"total_tokens": 1}},
]
RECORDING = [
    {"type": "speech.audio.delta", "audio": "SUQz"},
    {"type": "speech.audio.done", "usage": {"total_tokens": 1}},
]
CALL = [
    {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": call}]}, "index": 0}]}
    for call in (
        {"name": "f", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": "x", "willContinue": True}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": "y"}, {"jsonPath": "$.c", "numberValue": 1}]},
    )
]


@pytest.mark.parametrize(
    ("path", "events"),
    [
        pytest.param("/v1beta/interactions", INTERACTION, id="interactions"),
        pytest.param("/api/chat", OLLAMA, id="ollama"),
        pytest.param("/v1/chat", COHERE_V1, id="cohere v1"),
        pytest.param("transcriptions", TRANSCRIPTION, id="transcriptions"),
        pytest.param("images", PICTURE, id="images"),
        pytest.param("speech", RECORDING, id="speech"),
        pytest.param("generate-content", CALL, id="a call in pieces"),
    ],
)
def test_a_field_of_another_type_is_no_crash(path: str, events: list[dict[str, Any]]) -> None:
    for at, event in enumerate(events):
        for changed in (changed for value in REPLACEMENTS for changed in mangled(event, value)):
            odd = changed if isinstance(changed, dict) else ""
            for later in (events[at:], events[at + 1 :]):
                assembler = assembled(*events[:at], odd, *later, api=path)

                assert isinstance(assembler.text, str)
                assert json_text.dump(assembler.value()).encode()


@pytest.mark.parametrize(
    ("api", "events", "text"),
    [
        pytest.param(
            "transcriptions",
            [{"type": "transcript.text.delta", "delta": "abc"}, {"type": "transcript.text.done", "text": None}],
            "abc",
            id="transcriptions",
        ),
        pytest.param(
            "/v1/chat",
            [
                {"event_type": "text-generation", "text": "abc"},
                {"event_type": "stream-end", "response": {"text": None}},
            ],
            "abc",
            id="cohere v1",
        ),
        pytest.param(
            "responses",
            [
                {"type": "response.output_text.delta", "output_index": 0, "delta": "abc"},
                {"type": "response.output_text.done", "output_index": 0, "text": ""},
                {"type": "response.completed", "response": {"status": "completed", "output": []}},
            ],
            "abc",
            id="responses",
        ),
    ],
)
def test_a_last_event_without_the_text_leaves_the_text_that_came(
    api: str, events: list[dict[str, Any]], text: str
) -> None:
    assembler = assembled(*events, api=api)

    assert (assembler.text, assembler.complete) == (text, True)


def test_a_candidate_stays_finished_when_a_later_piece_says_null() -> None:
    pieces: list[dict[str, Any]] = [
        {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"finishReason": None},
    ]
    assembler = assembled(*({"candidates": [piece]} for piece in pieces), api="generate-content")

    assert assembler.value()["candidates"][0]["finishReason"] == "STOP"
    assert assembler.complete


def test_usage_beside_a_delta_counts_although_the_delta_has_an_empty_one() -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5}}}
    delta = {"stop_reason": "end_turn", "usage": None}

    assembler = assembled(start, {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}})

    assert assembler.value()["usage"] == {"input_tokens": 5, "output_tokens": 3}


def test_data_that_is_no_object_is_kept_unless_it_only_holds_the_connection_open() -> None:
    first, end = chunk(choices=[{"index": 0, "delta": {"content": "x"}}]), chunk(choices=[])

    assembler = assembled(first, "ping", "upstream is busy", "[1, 2]", end, "[DONE]")

    assert assembler.value()["unknown_events"] == ["upstream is busy", [1, 2]]
    assert assembler.text == "x"
