"""Chat events (Cohere's API reference, "Chat with Streaming", version 2)."""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, text_in
from blaxel_mcp.apis.streams.deltas import finalize, joined_text, merge, text_length
from blaxel_mcp.core.json_text import JSONObject


class CohereChatAssembler(Assembler):
    """Assembles the events of a Cohere chat."""

    def __init__(self) -> None:
        self._top: JSONObject = {}
        self._message: JSONObject = {"role": "assistant"}
        self._content: dict[int, JSONObject] = {}
        self._tool_calls: dict[int, JSONObject] = {}
        self._citations: list[JSONObject] = []

    @property
    def text(self) -> str:
        """The text of the message, without thinking."""
        return joined_text(in_order(self._content))

    def value(self) -> JSONObject:
        """Return the answer of `/v2/chat`."""
        content, calls = in_order(self._content), in_order(self._tool_calls)
        arrays = {"content": content, "tool_calls": calls, "citations": self._citations}
        message = {**self._message, **{name: items for name, items in arrays.items() if items}}
        return finalize({**self._top, "message": message})

    def _apply(self, kind: str, data: JSONObject) -> None:
        delta = object_in(data, "delta")
        message = object_in(delta, "message")
        match kind:
            case "message-start":
                if "id" in data:
                    self._top["id"] = data["id"]
                # The event lists every field of a message, mostly empty; an answer has only those with a value.
                merge(self._message, {name: value for name, value in message.items() if value})
            case "content-start" | "content-delta":
                self._merge_item(self._content, index_in(data), object_in(message, "content"))
            case "tool-plan-delta":
                merge(self._message, {"tool_plan": text_in(message, "tool_plan")})
                self.characters += len(text_in(message, "tool_plan"))
            case "tool-call-start" | "tool-call-delta":
                self._merge_item(self._tool_calls, index_in(data), object_in(message, "tool_calls"))
            case "citation-start":
                self._citations.append(object_in(message, "citations"))
            case "message-end":
                self.record_error(delta.get("error"))
                self._top |= {name: value for name, value in delta.items() if name != "error"}
                self._ended = True

    def _merge_item(self, items: dict[int, JSONObject], index: int, delta: JSONObject) -> None:
        merge(items.setdefault(index, {}), delta)
        self.characters += text_length(delta)
