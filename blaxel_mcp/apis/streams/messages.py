"""Message events (Anthropic's documentation, "Streaming messages")."""

from blaxel_mcp.apis.streams.assembler import (
    Assembler,
    array_at,
    in_order,
    index_in,
    json_or_text,
    object_in,
    objects_in,
    text_in,
)
from blaxel_mcp.apis.streams.deltas import TextBuffer, joined_text
from blaxel_mcp.core.json_text import JSONObject


class MessagesAssembler(Assembler):
    """Assembles the events of a message."""

    api = "messages"
    path_ends = ("/messages",)
    kinds = frozenset(
        {
            *("message_start", "message_delta", "message_stop"),
            *("content_block_start", "content_block_delta", "content_block_stop"),
        }
    )
    ignored_kinds = frozenset({"content_block_stop"})

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[int, JSONObject] = {}
        self._prefilled = 0
        self._offset = 0

    def _text_so_far(self) -> str:
        return joined_text(block for block in in_order(self._blocks) if block.get("type") == "text")

    def _built(self) -> JSONObject:
        blocks = [_with_parsed_input(block) for block in in_order(self._blocks)]
        # If another model took over, the message has the name of the last one.
        models = [object_in(block, "to").get("model") for block in blocks if block.get("type") == "fallback"]
        model = {"model": models[-1]} if models and models[-1] else {}
        return {**self._answer, **model, "content": blocks}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        match kind:
            case "message_start":
                self._start(object_in(data, "message"))
            case "content_block_start":
                index = index_in(data)
                if index < self._prefilled and not self._offset:
                    self._offset = self._prefilled
                self._blocks[index + self._offset] = object_in(data, "content_block")
            case "content_block_delta":
                self._apply_delta(index_in(data) + self._offset, object_in(data, "delta"))
            case "message_delta":
                others = {name: value for name, value in data.items() if name not in ("type", "delta")}
                self._set(others)
                self._set(object_in(data, "delta"))
            case "message_stop":
                self.ended = True
        return kind in self.kinds

    def _start(self, message: JSONObject) -> None:
        """Begin the message, or begin again: a gateway that retries in the middle of a stream sends another one."""
        if self._answer and message.get("id") == self._answer.get("id"):
            return
        content = objects_in(message, "content")
        self._answer = {**message, "content": []}
        # A message that continues after a tool call from code begins with that call's block.
        self._blocks = dict(enumerate(content))
        self._prefilled, self._offset = len(content), 0

    def _apply_delta(self, index: int, delta: JSONObject) -> None:
        kind = text_in(delta, "type")
        match kind:
            case "text_delta" | "thinking_delta":
                # The field has the same name in the delta and in its block.
                name = kind.removesuffix("_delta")
                self._append(self._blocks.setdefault(index, {"type": name}), name, text_in(delta, name))
            case "input_json_delta":
                block = self._blocks.setdefault(index, {"type": "tool_use"})
                # The input of a tool without arguments stays the object that the block began with.
                if piece := text_in(delta, "partial_json"):
                    self._append(block, "input", piece)
            case "signature_delta":
                self._blocks.setdefault(index, {"type": "thinking"})["signature"] = text_in(delta, "signature")
            case "citations_delta":
                # `citations` begins as an empty array or as null.
                array_at(self._blocks.setdefault(index, {"type": "text"}), "citations").append(delta.get("citation"))
            case _:
                # Such as `compaction_delta`: its fields are those of the block.
                fields = {name: value for name, value in delta.items() if name != "type"}
                self._merge(self._blocks.setdefault(index, {"type": kind.removesuffix("_delta") or "unknown"}), fields)


def _with_parsed_input(block: JSONObject) -> JSONObject:
    """Return a block with its tool input as JSON; an input that is not complete stays text."""
    text = block.get("input")
    return {**block, "input": json_or_text(str(text))} if isinstance(text, TextBuffer) else block
