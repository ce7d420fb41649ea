"""Message events (Anthropic's documentation, "Streaming messages")."""

from collections.abc import Mapping
from types import MappingProxyType

from blaxel_mcp.apis.streams.assembler import (
    Assembler,
    in_order,
    index_in,
    json_or_text,
    object_in,
    objects_in,
    text_in,
)
from blaxel_mcp.apis.streams.deltas import TextBuffer, append_text, finalize, joined_text
from blaxel_mcp.core.json_text import JSONObject

_TEXT_DELTAS: Mapping[str, str] = MappingProxyType({"text_delta": "text", "thinking_delta": "thinking"})
"""Deltas that append to a string, and the field that holds it in both the delta and its block."""


class MessagesAssembler(Assembler):
    """Assembles the events of a message."""

    def __init__(self) -> None:
        self._message: JSONObject = {}
        self._blocks: dict[int, JSONObject] = {}
        self._inputs: dict[int, TextBuffer] = {}

    @property
    def text(self) -> str:
        """The text of the text blocks."""
        return joined_text(block for block in in_order(self._blocks) if block.get("type") == "text")

    def value(self) -> JSONObject:
        """Return the message; a tool input that is not complete stays text."""
        inputs = {index: {"input": json_or_text(str(text))} for index, text in self._inputs.items() if text}
        blocks = {index: {**block, **inputs.get(index, {})} for index, block in self._blocks.items()}
        return finalize({**self._message, "content": in_order(blocks)})

    def _apply(self, kind: str, data: JSONObject) -> None:
        match kind:
            case "message_start":
                self._message = {**object_in(data, "message"), "content": []}
            case "content_block_start":
                self._blocks[index_in(data)] = object_in(data, "content_block")
            case "content_block_delta":
                self._apply_delta(index_in(data), object_in(data, "delta"))
            case "message_delta":
                # It repeats figures of the first event, some of them as null.
                figures = {name: value for name, value in object_in(data, "usage").items() if value is not None}
                usage = {**object_in(self._message, "usage"), **figures}
                others = {name: value for name, value in data.items() if name not in ("type", "delta")}
                self._message |= {**others, **object_in(data, "delta"), "usage": usage}
            case "message_stop":
                self._ended = True

    def _apply_delta(self, index: int, delta: JSONObject) -> None:
        kind = text_in(delta, "type")
        piece = text_in(delta, _TEXT_DELTAS.get(kind, "partial_json"))
        self.characters += len(piece)
        match kind:
            case "text_delta" | "thinking_delta":
                name = _TEXT_DELTAS[kind]
                append_text(self._blocks.setdefault(index, {"type": name}), name, piece)
            case "input_json_delta":
                self._blocks.setdefault(index, {"type": "tool_use"})
                self._inputs.setdefault(index, TextBuffer()).append(piece)
            case "signature_delta":
                self._blocks.setdefault(index, {"type": "thinking"})["signature"] = text_in(delta, "signature")
            case "citations_delta":
                block = self._blocks.setdefault(index, {"type": "text"})
                # `citations` begins as an empty array or as null.
                block["citations"] = [*objects_in(block, "citations"), delta.get("citation")]
