"""Chat as typed events (Cohere's API reference, "Chat with Streaming", version 2)."""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, text_in
from blaxel_mcp.apis.streams.deltas import joined_text, merge, settled, text_length
from blaxel_mcp.core.json_text import JSONObject


class CohereChat(Assembler):
    """Puts the events of a chat together."""

    def __init__(self) -> None:
        self._top: JSONObject = {}
        self._message: JSONObject = {"role": "assistant"}
        self._content: dict[int, JSONObject] = {}
        self._tool_calls: dict[int, JSONObject] = {}
        self._citations: list[JSONObject] = []

    @property
    def text(self) -> str:
        """The text in the message's content, without the thinking."""
        return joined_text(in_order(self._content))

    def value(self) -> JSONObject:
        """The answer of `/v2/chat`."""
        content, calls = in_order(self._content), in_order(self._tool_calls)
        arrays = {"content": content, "tool_calls": calls, "citations": self._citations}
        message = {**self._message, **{name: items for name, items in arrays.items() if items}}
        value: JSONObject = settled({**self._top, "message": message})
        return value

    def _take(self, kind: str, data: JSONObject) -> None:
        delta = object_in(data, "delta")
        message = object_in(delta, "message")
        match kind:
            case "message-start":
                self._start(data, message)
            case "content-start" | "content-delta":
                self._grow(self._content, index_in(data), object_in(message, "content"))
            case "tool-plan-delta":
                merge(self._message, {"tool_plan": text_in(message, "tool_plan")})
                self.characters += len(text_in(message, "tool_plan"))
            case "tool-call-start" | "tool-call-delta":
                self._grow(self._tool_calls, index_in(data), object_in(message, "tool_calls"))
            case "citation-start":
                self._citations.append(object_in(message, "citations"))
            case "message-end":
                self.fail(delta.get("error"))
                self._top |= {name: value for name, value in delta.items() if name != "error"}
                self._ended = True

    def _start(self, data: JSONObject, message: JSONObject) -> None:
        if "id" in data:
            self._top["id"] = data["id"]
        # It lists what a message can have, empty; an answer has only what there is.
        merge(self._message, {name: value for name, value in message.items() if value})

    def _grow(self, items: dict[int, JSONObject], index: int, piece: JSONObject) -> None:
        merge(items.setdefault(index, {}), piece)
        self.characters += text_length(piece)
