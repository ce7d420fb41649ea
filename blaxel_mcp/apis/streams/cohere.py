"""Chat events of Cohere, versions 2 and 1 (Cohere's API reference, "Chat with Streaming" and its V1)."""

from blaxel_mcp.apis.streams.assembler import Assembler, array_at, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import joined_text, merge
from blaxel_mcp.core.json_text import JSONObject


class CohereChatAssembler(Assembler):
    """Assembles the events of a Cohere chat."""

    api = "cohere-chat"
    path_ends = ("/v2/chat",)
    kinds = frozenset(
        {
            *("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "message-end"),
            *("tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "citation-end"),
        }
    )
    ignored_kinds = frozenset({"content-end", "tool-call-end", "citation-end"})

    def __init__(self) -> None:
        super().__init__()
        self._message: JSONObject = {"role": "assistant"}
        self._content: dict[int, JSONObject] = {}
        self._tool_calls: dict[int, JSONObject] = {}
        self._citations: list[JSONObject] = []
        self._logprobs: list[JSONObject] = []

    def _text_so_far(self) -> str:
        return joined_text(in_order(self._content))

    def _built(self) -> JSONObject:
        content, calls = in_order(self._content), in_order(self._tool_calls)
        arrays = {"content": content, "tool_calls": calls, "citations": self._citations}
        message = {**self._message, **{name: items for name, items in arrays.items() if items}}
        logprobs = {"logprobs": self._logprobs} if self._logprobs else {}
        return {**self._answer, "message": message, **logprobs}

    def _apply(self, kind: str, data: JSONObject) -> bool:
        delta = object_in(data, "delta")
        message = object_in(delta, "message")
        match kind:
            case "message-start":
                if "id" in data:
                    self._answer["id"] = data["id"]
                # The event lists every field of a message, mostly empty; an answer has only those with a value.
                merge(self._message, {name: value for name, value in message.items() if value})
            case "content-start" | "content-delta":
                self._merge(self._content.setdefault(index_in(data), {}), object_in(message, "content"))
                if logprobs := object_in(data, "logprobs"):
                    self._logprobs.append(logprobs)
            case "tool-plan-delta":
                self._append(self._message, "tool_plan", text_in(message, "tool_plan"))
            case "tool-call-start" | "tool-call-delta":
                self._merge(self._tool_calls.setdefault(index_in(data), {}), object_in(message, "tool_calls"))
            case "citation-start":
                self._citations.append(object_in(message, "citations"))
            case "message-end":
                self.record_error(delta.get("error"))
                self._set({name: value for name, value in delta.items() if name != "error"})
                self.ended = True
        return kind in self.kinds


_LISTS = ("search_queries", "search_results", "documents", "citations", "tool_calls")
"""Arrays of an answer that events bring whole or in parts."""


class CohereChatV1Assembler(Assembler):
    """Assembles the events of `/v1/chat`; the last one holds the whole answer."""

    path_ends = ("/v1/chat",)
    kinds = frozenset(
        {
            *("stream-start", "search-queries-generation", "search-results", "text-generation", "citation-generation"),
            *("tool-calls-generation", "tool-calls-chunk", "stream-end"),
        }
    )
    ignored_kinds = frozenset({"tool-calls-chunk"})

    def __init__(self) -> None:
        super().__init__()
        self._answer["text"] = ""

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if kind == "text-generation":
            self._append(self._answer, "text", text_in(data, "text"))
        elif kind == "stream-end":
            self._set({**object_in(data, "response"), "finish_reason": data.get("finish_reason")})
            self.ended = True
            if text_in(data, "finish_reason").startswith("ERROR"):
                self.record_error(data.get("error") or data["finish_reason"])
        elif "generation_id" in data:
            self._answer["generation_id"] = data["generation_id"]
        for name in _LISTS:
            if items := objects_in(data, name):
                array_at(self._answer, name).extend(items)
        return kind in self.kinds
