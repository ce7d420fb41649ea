"""Chat events of Cohere's version 1 (Cohere's API reference, "Chat with Streaming (V1)"), as NDJSON or as SSE."""

from blaxel_mcp.apis.streams.assembler import Assembler, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer, finalize
from blaxel_mcp.core.json_text import JSONObject

_LISTS = ("search_queries", "search_results", "documents", "citations", "tool_calls")
"""Arrays of an answer that events bring whole or in parts."""

_KINDS = {
    *("stream-start", "search-queries-generation", "search-results", "text-generation", "citation-generation"),
    *("tool-calls-generation", "tool-calls-chunk", "stream-end"),
}


class CohereChatV1Assembler(Assembler):
    """Assembles the events of `/v1/chat`; the last one holds the whole answer."""

    ignored_kinds = frozenset({"tool-calls-chunk"})

    def __init__(self) -> None:
        super().__init__()
        self._answer: JSONObject = {}
        self._text = TextBuffer()

    @property
    def text(self) -> str:
        """The text received so far."""
        return str(self._text)

    def value(self) -> JSONObject:
        """Return the answer of `/v1/chat`."""
        return finalize(self._with_unknown({"text": str(self._text), **self._answer}))

    @staticmethod
    def recognizes(kind: str, data: JSONObject) -> bool:  # noqa: ARG004 - the kind says it all
        """Return whether an event is one of a chat, version 1."""
        return kind in _KINDS

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if kind == "text-generation":
            piece = text_in(data, "text")
            self._text.append(piece)
            self.characters += len(piece)
        elif kind == "stream-end":
            self._answer |= {**object_in(data, "response"), "finish_reason": data.get("finish_reason")}
            self.ended = True
            if text_in(data, "finish_reason").startswith("ERROR"):
                self.record_error(data.get("error") or data["finish_reason"])
        elif "generation_id" in data:
            self._answer["generation_id"] = data["generation_id"]
        for name in _LISTS:
            if items := objects_in(data, name):
                self._answer[name] = [*self._answer.get(name, []), *items]
        return kind in _KINDS
