"""Streams of very many small events: what one costs does not grow with what came before."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from blaxel_mcp.apis.streams import Event, FormatChooser

EVENTS = 100_000
PICTURE = {"type": "image", "content": {"type": "image"}}
TEXT = {"type": "text", "text": "a"}

CASES: dict[str, tuple[dict[str, Any], Callable[[int], dict[str, Any]]]] = {
    "citations of Claude": (
        {"type": "message_start", "message": {"id": "m"}},
        lambda at: {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": {"at": at}}},
    ),
    "citations of Cohere v1": (
        {"event_type": "stream-start"},
        lambda at: {"event_type": "citation-generation", "citations": [{"at": at}]},
    ),
    "calls of Ollama": (
        {"message": {"content": ""}, "done": False},
        lambda at: {"message": {"tool_calls": [{"at": at}]}, "done": False},
    ),
    "parts of an interaction": (
        {"event_type": "interaction.created", "interaction": {"id": "i"}},
        lambda at: {"event_type": "step.delta", "delta": TEXT if at % 2 else PICTURE},
    ),
    "choices": ({"choices": []}, lambda at: {"choices": [{"index": at, "delta": {"content": "a"}}]}),
    "fields of Groq": ({"choices": []}, lambda at: {"x_groq": {f"field{at}": 1}}),
    "figures of usage": ({"choices": []}, lambda at: {"choices": [], "usage": {f"tokens{at}": 1}}),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", CASES)
def test_an_event_costs_the_same_after_many_others(case: str) -> None:
    # Two seconds; if each event copied those before it, some minutes.
    first, event_at = CASES[case]
    assembler = FormatChooser(None).choose([Event("message", json.dumps(first))])
    assert assembler is not None
    for data in map(event_at, range(EVENTS)):
        assembler.feed(Event("message", json.dumps(data)))
        assert not assembler.complete

    assert len(json.dumps(assembler.value())) > EVENTS
