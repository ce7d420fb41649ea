"""Responses as typed events (OpenAI API reference, "Streaming events" of the Responses API).

The last event holds the whole response. What a stream that breaks before it has brought is put
together from its items, parts and deltas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import append_text, joined_text, settled
from blaxel_mcp.core.json_text import JSONObject

_MAX_PARTS = 1000
"""Parts of one item that are told apart, so that an absurd index costs no memory."""

_LAST = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True, slots=True)
class _Part:
    """Where in an item a text grows: an array, the name of its index, and the part that it holds."""

    array: str
    index: str
    kind: str
    field: str


_PARTS: Mapping[str, _Part] = MappingProxyType(
    {
        "response.output_text": _Part("content", "content_index", "output_text", "text"),
        "response.refusal": _Part("content", "content_index", "refusal", "refusal"),
        "response.reasoning_text": _Part("content", "content_index", "reasoning_text", "text"),
        "response.reasoning_summary_text": _Part("summary", "summary_index", "summary_text", "text"),
        "response.content_part": _Part("content", "content_index", "", ""),
        "response.reasoning_summary_part": _Part("summary", "summary_index", "", ""),
    }
)
"""What the events named `….delta` and `….done`, or `….added` and `….done`, add to."""

_FIELDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "response.function_call_arguments": ("function_call", "arguments"),
        "response.mcp_call_arguments": ("mcp_call", "arguments"),
        "response.custom_tool_call_input": ("custom_tool_call", "input"),
        "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
    }
)
"""The same for texts that are a field of the item itself, with the item's type."""


class OpenAIResponses(Assembler):
    """Puts the events of a response together."""

    def __init__(self) -> None:
        self._response: JSONObject = {}
        self._items: dict[int, JSONObject] = {}

    @property
    def text(self) -> str:
        """The text of the messages among the output."""
        return joined_text(self._text_parts())

    def value(self) -> JSONObject:
        """The response, an object `response`; its status is the last that the provider told."""
        response: JSONObject = settled({**self._response, "output": self._output()})
        return response

    def _output(self) -> list[Any]:
        whole = self._response.get("output")
        # Some servers leave the output out of the last event, having sent it before.
        return whole if isinstance(whole, list) and whole else in_order(self._items)

    def _text_parts(self) -> list[JSONObject]:
        items = [item for item in self._output() if isinstance(item, dict) and item.get("type") == "message"]
        return [part for item in items for part in objects_in(item, "content") if part.get("type") == "output_text"]

    def _take(self, kind: str, data: JSONObject) -> None:
        if response := object_in(data, "response"):
            self._response = response
            self._ended = self._ended or kind in _LAST
            self.fail(response.get("error"))
        name, _, stage = kind.rpartition(".")
        index = index_in(data, "output_index")
        if name == "response.output_item":
            if item := object_in(data, "item"):
                self._items[index] = item
        elif name == "response.output_text.annotation":
            self._annotate(index, data)
        elif part := _PARTS.get(name):
            self._take_part(self._item(index, "reasoning" if "reasoning" in name else "message"), part, stage, data)
        elif field := _FIELDS.get(name):
            self._take_text(self._item(index, field[0]), field[1], stage, data)

    def _item(self, index: int, kind: str) -> JSONObject:
        """The item at an index, begun here if the event that begins it did not come."""
        return self._items.setdefault(index, {"type": kind})

    def _annotate(self, index: int, data: JSONObject) -> None:
        holder = _part_at(self._item(index, "message"), _PARTS["response.output_text"], data)
        annotations = holder.setdefault("annotations", [])
        if isinstance(annotations, list):
            annotations.append(data.get("annotation"))

    def _take_part(self, item: JSONObject, part: _Part, stage: str, data: JSONObject) -> None:
        holder = _part_at(item, part, data)
        if part.field:
            self._take_text(holder, part.field, stage, data)
        else:
            holder.update(object_in(data, "part"))

    def _take_text(self, holder: JSONObject, field: str, stage: str, data: JSONObject) -> None:
        if stage == "delta":
            append_text(holder, field, text_in(data, "delta"))
            self.characters += len(text_in(data, "delta"))
        elif field in data:
            holder[field] = data[field]


def _part_at(item: JSONObject, part: _Part, data: JSONObject) -> JSONObject:
    """The part of an item that an event is about, begun here if it is new."""
    parts = item.get(part.array)
    if not isinstance(parts, list):
        parts = item[part.array] = []
    index = min(max(index_in(data, part.index), 0), _MAX_PARTS - 1)
    while len(parts) <= index:
        parts.append({"type": part.kind} if part.kind else {})
    holder = parts[index]
    if not isinstance(holder, dict):
        holder = parts[index] = {}
    return holder
