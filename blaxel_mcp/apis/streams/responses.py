"""Response events (OpenAI API reference, "Streaming events" of the Responses API).

The last event holds the whole response. If the stream breaks before it, the response is
assembled from the items, parts and deltas received.
"""

from collections.abc import Mapping
from typing import Any

from blaxel_mcp.apis.streams.assembler import (
    Assembler,
    array_at,
    in_order,
    index_in,
    kind_of,
    merge_usage,
    object_in,
    objects_in,
    text_in,
)
from blaxel_mcp.apis.streams.deltas import joined_text
from blaxel_mcp.core.json_text import JSONObject

_MAX_PARTS = 1000
"""Parts of one item that are kept apart, so that an absurd index costs no memory."""

_FINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")


_PART_PLACES: Mapping[str, tuple[str, str, str]] = {
    "response.output_text": ("content", "output_text", "text"),
    "response.refusal": ("content", "refusal", "refusal"),
    "response.reasoning_text": ("content", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_text", "text"),
    "response.content_part": ("content", "", ""),
    "response.reasoning_summary_part": ("summary", "", ""),
}
"""By event name without its stage: the array of an item, and the type of the part in it and its field that holds text.

`.delta` and `.done` change the text of a part, `.added` and `.done` of the last two a part.
"""

_ITEM_TEXTS: Mapping[str, tuple[str, str]] = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
"""By event name without its stage: the type of the item and its field that holds the text."""


class ResponsesAssembler(Assembler):
    """Assembles the events of a response."""

    api = "responses"
    path_ends = ("/responses",)
    kind_prefixes = ("response.",)

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, JSONObject] = {}

    def _text_so_far(self) -> str:
        messages = [item for item in self._output() if isinstance(item, dict) and item.get("type") == "message"]
        parts = [part for message in messages for part in objects_in(message, "content")]
        return joined_text(part for part in parts if part.get("type") == "output_text")

    def _built(self) -> JSONObject:
        return {**self._answer, "output": self._output()}

    def _output(self) -> list[Any]:
        output = self._answer.get("output")
        # Some servers omit the output from the last event, having sent it before.
        return output if isinstance(output, list) and output else in_order(self._items)

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if response := object_in(data, "response"):
            usage = merge_usage(self._answer.get("usage"), response.get("usage"))
            self._answer = {**response, **({"usage": usage} if usage is not None else {})}
            self.record_error(response.get("error"))
            if kind in _FINAL_EVENTS:
                self.ended = True
                # The final response has all that they said.
                self._unknown = [
                    event
                    for event in self._unknown
                    if not (isinstance(event, dict) and self.recognizes(kind_of("", event), event))
                ]
            return True
        name, _, stage = kind.rpartition(".")
        index = index_in(data, "output_index")
        if name == "response.output_item":
            if item := object_in(data, "item"):
                self._items[index] = item
        elif name == "response.output_text.annotation":
            part = self._part_at(index, "message", "content", "output_text", data)
            array_at(part, "annotations").append(data.get("annotation"))
        elif place := _PART_PLACES.get(name):
            array, part_kind, field = place
            part = self._part_at(index, "reasoning" if "reasoning" in name else "message", array, part_kind, data)
            if field:
                self._apply_text(part, field, stage, data)
            else:
                part.update(object_in(data, "part"))
        elif item_text := _ITEM_TEXTS.get(name):
            self._apply_text(self._item(index, item_text[0]), item_text[1], stage, data)
        else:
            return False
        return True

    def _item(self, index: int, kind: str) -> JSONObject:
        return self._items.setdefault(index, {"type": kind})

    def _apply_text(self, target: JSONObject, field: str, stage: str, data: JSONObject) -> None:
        if stage == "delta":
            self._append(target, field, text_in(data, "delta"))
        elif field in data and (data[field] or field not in target):
            target[field] = data[field]

    def _part_at(self, index: int, kind: str, array: str, part_kind: str, data: JSONObject) -> JSONObject:
        """Return the part that an event is about, in an item of this kind; create either if it is new."""
        item = self._item(index, kind)
        parts = array_at(item, array)
        place = min(max(index_in(data, f"{array}_index"), 0), _MAX_PARTS - 1)
        while len(parts) <= place:
            parts.append({"type": part_kind} if part_kind else {})
        if not isinstance(parts[place], dict):
            parts[place] = {}
        part: JSONObject = parts[place]
        return part
