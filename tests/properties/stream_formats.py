"""Streamed answers: the events of each provider's format, and the ways to write them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.properties.examples import any_text, scalars

Events = list[tuple[str, Any]]
"""The name of each event (empty for none), and its data as a JSON value."""

DONE = object()

pieces = st.lists(any_text.filter(bool), min_size=1, max_size=6)
tool_calls = st.lists(
    st.tuples(st.text(max_size=8), st.dictionaries(st.text(max_size=5), scalars, max_size=3)), max_size=2
)


def openai_chat(texts: Sequence[str], calls: Sequence[tuple[str, Any]]) -> Events:
    def chunk(delta: Any, finish: str | None = None) -> Any:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    for index, (name, arguments) in enumerate(calls):
        spelled = json.dumps(arguments)
        begin = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [begin]}))
        events += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            for part in (spelled[:3], spelled[3:])
        ]
    return [("", event) for event in (*events, chunk({}, "stop"), DONE)]


def anthropic(texts: Sequence[str], calls: Sequence[tuple[str, Any]]) -> Events:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
    ]
    for index, (name, arguments) in enumerate(calls, 1):
        spelled = json.dumps(arguments)
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": part}}
            for part in (spelled[:2], spelled[2:])
        ]
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})
    return [(event["type"], event) for event in (*events, {"type": "message_stop"})]


def cohere(texts: Sequence[str], _calls: Sequence[tuple[str, Any]]) -> Events:
    deltas = [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}} for text in texts
    ]
    begin: list[dict[str, Any]] = [
        {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    ]
    end: dict[str, Any] = {
        "type": "message-end",
        "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 1}}},
    }
    return [(event["type"], event) for event in (*begin, *deltas, end)]


def gemini(texts: Sequence[str], calls: Sequence[tuple[str, Any]]) -> Events:
    parts: list[dict[str, Any]] = [{"text": text} for text in texts]
    parts += [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
    events: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]} for part in parts
    ]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    return [("", event) for event in events]


def responses(texts: Sequence[str], _calls: Sequence[tuple[str, Any]]) -> Events:
    whole = "".join(texts)
    message = {"type": "message", "content": [{"type": "output_text", "text": whole}]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"status": "in_progress", "output": []}},
        *(
            {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}
            for text in texts
        ),
        {"type": "response.completed", "response": {"status": "completed", "output": [message]}},
    ]
    return [(event["type"], event) for event in events]


FORMATS: dict[str, Callable[[Sequence[str], Sequence[tuple[str, Any]]], Events]] = {
    "chat-completions": openai_chat,
    "messages": anthropic,
    "cohere-chat": cohere,
    "generate-content": gemini,
    "responses": responses,
}


def as_sse(events: Events, line_end: str) -> bytes:
    lines = []
    for name, data in events:
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {'[DONE]' if data is DONE else json.dumps(data)}", ""]
    return "".join(f"{line}{line_end}" for line in lines).encode()


def as_ndjson(events: Events, line_end: str) -> bytes:
    return "".join(f"{json.dumps(data)}{line_end}" for _, data in events if data is not DONE).encode()


def as_array(events: Events, line_end: str) -> bytes:
    return f"[{f',{line_end}'.join(json.dumps(data) for _, data in events)}]".encode()


WRITTEN: dict[str, Callable[[Events, str], bytes]] = {
    "text/event-stream": as_sse,
    "application/x-ndjson": as_ndjson,
    "application/json": as_array,
}
streams = st.builds(
    lambda api, texts, calls, kind, end: (
        api,
        "application/json" if kind == "array" and api == "generate-content" else "text/event-stream",
        end,
        FORMATS[api](texts, calls),
    ),
    st.sampled_from(list(FORMATS)),
    pieces,
    tool_calls,
    st.sampled_from(["array", "events"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
