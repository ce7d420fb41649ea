"""The events of a streamed response (OpenAI API reference, Streaming events of the Responses API)."""

from collections.abc import Iterator
from typing import Any

from blaxel_mcp.emulator.apis.completions import tokens_of


def response_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a response, numbered from 0; the last one holds the whole response."""
    for number, event in enumerate(_unnumbered_events(response)):
        yield {"type": event["type"], "sequence_number": number, **event}


def _unnumbered_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        content = {"message": "content", "reasoning": "summary", "function_call": "arguments"}[item["type"]]
        empty = {**item, content: "" if content == "arguments" else []}
        if "status" in item:
            empty["status"] = "in_progress"
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        yield from _content_events({"item_id": item["id"], "output_index": index}, item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


def _content_events(place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events that fill an item; `place` holds the fields that they share."""
    match item["type"]:
        case "function_call":
            for token in tokens_of(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": token}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                where = {**place, "summary_index": index}
                yield {"type": "response.reasoning_summary_part.added", **where, "part": {**part, "text": ""}}
                for token in tokens_of(part["text"]):
                    yield {"type": "response.reasoning_summary_text.delta", **where, "delta": token}
                yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
                yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
        case "message":
            for index, part in enumerate(item["content"]):
                where = {**place, "content_index": index}
                yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
                for token in tokens_of(part["text"]):
                    yield {"type": "response.output_text.delta", **where, "delta": token, "logprobs": []}
                yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
                yield {"type": "response.content_part.done", **where, "part": part}
