"""Providers of the emulator answer or refuse any body, without a crash."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.emulator.apis.base import ProviderCall
from blaxel_mcp.emulator.gateway import ENDPOINTS
from blaxel_mcp.emulator.platform.errors import RefusalError
from blaxel_mcp.emulator.platform.records import TRANSCRIPTIONS_PATH
from tests.properties.examples import json_values, tried

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a"}}, "required": ["a"]}
FUNCTION = {"name": "weather", "parameters": SCHEMA}
PNG = "iVBORw0KGgo="

BODIES: dict[str, list[dict[str, Any]]] = {
    "house-chat /v1/chat/completions": [
        {
            "messages": [
                {"role": "system", "content": "Answer in json."},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "2 + 2"}, {"type": "image_url", "image_url": {"url": "x"}}],
                },
                {"role": "assistant", "tool_calls": []},
                {"role": "tool", "tool_call_id": "c", "content": "4"},
            ],
            "n": 2,
            "max_tokens": 5,
            "temperature": 1,
            "top_p": 0.5,
            "stop": ["a", "b"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        },
        {
            "messages": [{"role": "user", "content": "2 + 2"}],
            "max_completion_tokens": 5,
            "tools": [{"type": "function", "function": FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
    ],
    "house-chat /v1/responses": [
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "json"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "4"},
            ],
            "instructions": "Be kind.",
            "max_output_tokens": 16,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
        },
        {"input": "a", "tools": [{"type": "function", **FUNCTION}], "tool_choice": "required", "stream": True},
    ],
    "house-claude /v1/messages": [
        {
            "max_tokens": 2000,
            "system": [{"type": "text", "text": "Be kind."}],
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": "4"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                },
            ],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "stop_sequences": ["a"],
        },
        {
            "max_tokens": 3,
            "messages": [{"role": "user", "content": "a"}],
            "tools": [{"name": "weather", "input_schema": SCHEMA}],
            "tool_choice": {"type": "tool", "name": "weather"},
            "stream": True,
        },
    ],
    "house-gemini /v1beta/models/{model}:generateContent": [
        {
            "systemInstruction": {"parts": [{"text": "Be kind."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            ],
            "generationConfig": {
                "candidateCount": 2,
                "maxOutputTokens": 3,
                "stopSequences": ["a"],
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
                "thinkingConfig": {"includeThoughts": True},
            },
        },
        {
            "contents": [{"parts": [{"text": "a"}]}],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        },
    ],
    "house-cohere /v2/chat": [
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"data": "4"}}]},
            ],
            "documents": ["a", {"data": {"text": "b"}}],
            "max_tokens": 3,
            "stop_sequences": ["a"],
            "thinking": {"type": "enabled"},
        },
        {
            "messages": [{"role": "user", "content": "a"}],
            "tools": [{"type": "function", "function": FUNCTION}],
            "tool_choice": "REQUIRED",
            "stream": True,
        },
    ],
    "house-embed /v1/embeddings": [{"input": ["a", "b"], "dimensions": 3, "encoding_format": "base64"}],
    "house-painter /v1/images/generations": [{"prompt": "a", "n": 1, "size": "1024x1024", "output_format": "png"}],
    "house-voice /v1/audio/speech": [{"input": "a b", "voice": "c", "response_format": "wav", "speed": 1}],
    "house-rerank /v2/rerank": [{"query": "a", "documents": ["a", "b"], "top_n": 1}],
    "house-classifier ": [{"inputs": ["good", "bad"]}],
}
"""Valid bodies by model and path."""

Place = tuple[str | int, ...]


def places_in(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the path to each part of a value: field names and array positions."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in items:
        yield (*place, step)
        yield from places_in(part, (*place, step))


def with_part(body: dict[str, Any], place: Place, part: object) -> dict[str, Any]:
    """Return a copy of a body with another part at a path."""
    changed = copy.deepcopy(body)
    parent: Any = changed
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = part
    return changed


async def _status_of(endpoint: str, body: dict[str, Any]) -> tuple[int, str]:
    """Return the status and the text of the answer to a body."""
    name, _, path = endpoint.partition(" ")
    emulator = Emulator()
    record = emulator.models[name]
    call = ProviderCall(emulator=emulator, record=record, model_id=record.model, path=path, query="", body=body)
    try:
        response = await ENDPOINTS[record.type][path](call)
    except RefusalError as error:
        response = error.response
    # A stream is computed while it is sent.
    chunks = [chunk async for chunk in response.body_iterator] if hasattr(response, "body_iterator") else []
    text = bytes(response.body).decode("latin-1") if not chunks else "".join(map(str, chunks))
    return response.status_code, text


def status_of(endpoint: str, body: dict[str, Any]) -> tuple[int, str]:
    return asyncio.run(_status_of(endpoint, body))


def _anywhere(endpoint: str) -> st.SearchStrategy[dict[str, Any]]:
    """Generate bodies that differ from a valid one in one part, or have one more field."""
    parts = json_values | st.sampled_from([1.0, 2.0, "auto", "required", "json_object", [], {}, "a\n"])

    def changed(body: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        places = [*places_in(body), ("unknown",)]
        return st.tuples(st.sampled_from(places), parts).map(lambda change: with_part(body, *change))

    return st.sampled_from(BODIES[endpoint]).flatmap(changed)


def test_every_endpoint_has_bodies_here() -> None:
    paths = {path for handlers in ENDPOINTS.values() for path in handlers} - {TRANSCRIPTIONS_PATH}

    assert {endpoint.partition(" ")[2] for endpoint in BODIES} == {
        path for path in paths if not path.endswith(":streamGenerateContent")
    }


def test_the_valid_bodies_are_answered() -> None:
    statuses = {(endpoint, status_of(endpoint, body)[0]) for endpoint, bodies in BODIES.items() for body in bodies}

    assert {(endpoint, status) for endpoint, status in statuses if status != 200} == set()


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_body_with_any_part_in_it_is_answered_or_refused(endpoint: str) -> None:
    @tried(30)
    @given(body=_anywhere(endpoint))
    @example(body=BODIES[endpoint][0] | {"max_tokens": 2.0})
    def check(body: dict[str, Any]) -> None:
        assert status_of(endpoint, body)[0] in (200, 400, 404)

    check()


UNCHECKED = {("messages", "tool_calls"), ("content", "document", "data"), ("documents", "data", "text")}
"""Unchecked fields in the bodies above, by the last names of their path."""


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_value_of_another_type_is_refused_and_its_field_named(endpoint: str) -> None:
    """An array that holds an object with an unknown field is invalid for every checked field above."""
    for body in BODIES[endpoint]:
        for place in places_in(body):
            status, text = status_of(endpoint, with_part(body, place, [{"unknown": 1}]))
            names = [step for step in place if isinstance(step, str)]
            if not any(tuple(names[-len(unchecked) :]) == unchecked for unchecked in UNCHECKED):
                assert status == 400, place
                assert any(name in text for name in names), (place, text)
