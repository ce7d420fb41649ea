"""Objects of Ollama's own API (docs/api.md of Ollama: `/api/chat` and `/api/generate`), one per line."""

from blaxel_mcp.apis.streams.assembler import Assembler, array_at, object_in, objects_in
from blaxel_mcp.apis.streams.deltas import append_text, text_length
from blaxel_mcp.core.json_text import JSONObject

_TEXTS = ("response", "thinking", "content")


class OllamaAssembler(Assembler):
    """Assembles the objects of a chat or a generation; the last one has `done: true` and the figures."""

    path_ends = ("/api/chat", "/api/generate")

    def _text_so_far(self) -> str:
        return str(object_in(self._answer, "message").get("content", self._answer.get("response", "")))

    @classmethod
    def recognizes(cls, kind: str, data: JSONObject) -> bool:  # noqa: ARG003 - the objects have no kinds
        """Return whether an object is one of a chat or a generation."""
        return isinstance(data.get("done"), bool) and not data.keys().isdisjoint(("message", "response"))

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if not self.recognizes(kind, data) and data.get("done") is not True:
            return False
        for name, value in data.items():
            if name == "message" and isinstance(value, dict):
                self._apply_message(value)
            elif name in _TEXTS and isinstance(value, str):
                self._append(self._answer, name, value)
            elif isinstance(value, list):
                # The log probabilities of each piece are its own.
                array_at(self._answer, name).extend(value)
            else:
                self._answer[name] = value
        self.ended = self.ended or data["done"] is True
        return True

    def _apply_message(self, delta: JSONObject) -> None:
        message = self._answer["message"] = object_in(self._answer, "message")
        self.characters += text_length(delta)
        for name, value in delta.items():
            if name in _TEXTS and isinstance(value, str):
                append_text(message, name, value)
            elif name == "tool_calls":
                # Each piece has calls of its own, none continues another.
                array_at(message, name).extend(objects_in(delta, name))
            else:
                message[name] = value
