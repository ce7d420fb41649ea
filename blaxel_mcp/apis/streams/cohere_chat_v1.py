"""Chat events of Cohere's version 1 (Cohere's API reference, "Chat with Streaming (V1)"), as NDJSON or as SSE."""

from blaxel_mcp.apis.streams.assembler import Assembler, object_in, objects_in, text_in
from blaxel_mcp.core.json_text import JSONObject

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
                self._answer[name] = [*objects_in(self._answer, name), *items]
        return kind in self.kinds
