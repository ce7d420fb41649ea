"""A response in pieces (OpenAI API reference, Streaming events of the Responses API)."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from blaxel_mcp.emulator.apis.answers import tokens_of

Event = dict[str, Any]


def response_events(response: dict[str, Any]) -> Iterator[Event]:
    """Yield the events of a response, numbered, the last of which holds the whole."""
    numbers = count()
    for event in _events(response):
        yield {"type": event["type"], "sequence_number": next(numbers), **event}


def _events(response: dict[str, Any]) -> Iterator[Event]:
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        yield from _item_events(index, item)
    yield {"type": f"response.{response['status']}", "response": response}


def _item_events(index: int, item: dict[str, Any]) -> Iterator[Event]:
    empty, events = _ITEMS[item["type"]]
    begun = {"status": "in_progress"} if "status" in item else {}
    yield {"type": "response.output_item.added", "output_index": index, "item": {**item, **empty, **begun}}
    yield from events({"item_id": item["id"], "output_index": index}, item)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _summary_events(place: Event, item: dict[str, Any]) -> Iterator[Event]:
    for index, part in enumerate(item["summary"]):
        where = {**place, "summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **where, "part": {**part, "text": ""}}
        for token in tokens_of(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **where, "delta": token}
        yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **where, "part": part}


def _argument_events(place: Event, item: dict[str, Any]) -> Iterator[Event]:
    for token in tokens_of(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": token}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **place, **done}


def _content_events(place: Event, item: dict[str, Any]) -> Iterator[Event]:
    for index, part in enumerate(item["content"]):
        where = {**place, "content_index": index}
        yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
        for token in tokens_of(part["text"]):
            yield {"type": "response.output_text.delta", **where, "delta": token, "logprobs": []}
        yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **where, "part": part}


_ITEMS: dict[str, tuple[Event, Callable[[Event, dict[str, Any]], Iterator[Event]]]] = {
    "function_call": ({"arguments": ""}, _argument_events),
    "message": ({"content": []}, _content_events),
    "reasoning": ({"summary": []}, _summary_events),
}
"""How an item of each type starts, and the events that fill it."""
