"""Messages as typed events (Anthropic's documentation, "Streaming messages")."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from blaxel_mcp.apis.streams.assembler import (
    Assembler,
    bounded_json,
    in_order,
    index_in,
    object_in,
    objects_in,
    text_in,
)
from blaxel_mcp.apis.streams.deltas import Fragments, append_text, joined_text, settled
from blaxel_mcp.core.json_text import JSONObject

_TEXTS: Mapping[str, str] = MappingProxyType({"text_delta": "text", "thinking_delta": "thinking"})
"""The deltas that let a string of their block grow, with its name, which is that of their own field too."""


class AnthropicMessages(Assembler):
    """Puts the events of a message together."""

    def __init__(self) -> None:
        self._message: JSONObject = {}
        self._blocks: dict[int, JSONObject] = {}
        self._inputs: dict[int, Fragments] = {}

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return joined_text(block for block in in_order(self._blocks) if block.get("type") == "text")

    def value(self) -> JSONObject:
        """The message; the input of a tool that did not arrive whole is the text that did."""
        inputs = {index: {"input": _input(str(fragments))} for index, fragments in self._inputs.items() if fragments}
        blocks = {index: {**block, **inputs.get(index, {})} for index, block in self._blocks.items()}
        message: JSONObject = settled({**self._message, "content": in_order(blocks)})
        return message

    def _take(self, kind: str, data: JSONObject) -> None:
        match kind:
            case "message_start":
                self._message = {**object_in(data, "message"), "content": []}
            case "content_block_start":
                self._blocks[index_in(data)] = object_in(data, "content_block")
            case "content_block_delta":
                self._take_delta(index_in(data), object_in(data, "delta"))
            case "message_delta":
                self._end(data)
            case "message_stop":
                self._ended = True

    def _end(self, data: JSONObject) -> None:
        """Take what is told of the whole message when its content is there."""
        usage = {**object_in(self._message, "usage"), **_given(object_in(data, "usage"))}
        others = {name: value for name, value in data.items() if name not in ("type", "delta")}
        self._message |= {**others, **object_in(data, "delta"), "usage": usage}

    def _take_delta(self, index: int, delta: JSONObject) -> None:
        kind = text_in(delta, "type")
        piece = text_in(delta, _TEXTS.get(kind, "partial_json"))
        self.characters += len(piece)
        match kind:
            case "text_delta" | "thinking_delta":
                name = _TEXTS[kind]
                append_text(self._blocks.setdefault(index, {"type": name}), name, piece)
            case "input_json_delta":
                self._blocks.setdefault(index, {"type": "tool_use"})
                self._inputs.setdefault(index, Fragments()).append(piece)
            case "signature_delta":
                self._blocks.setdefault(index, {"type": "thinking"})["signature"] = text_in(delta, "signature")
            case "citations_delta":
                block = self._blocks.setdefault(index, {"type": "text"})
                # A block that is cited from begins with none, as an array or as null.
                block["citations"] = [*objects_in(block, "citations"), delta.get("citation")]


def _given(usage: JSONObject) -> JSONObject:
    """The figures that are there: the last event repeats those of the first, some of them as null."""
    return {name: value for name, value in usage.items() if value is not None}


def _input(text: str) -> Any:
    try:
        return bounded_json(text)
    except ValueError:
        return text
