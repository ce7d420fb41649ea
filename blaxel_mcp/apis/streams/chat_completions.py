"""Chat completions in chunks (OpenAI API reference, "The chat completion chunk object").

The older completions API streams the same way, with `text` in a choice in place of a `delta`.
"""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import append_text, joined_text, merge, settled, text_length
from blaxel_mcp.core.json_text import JSONObject

_PADDING = "obfuscation"
"""Random characters that OpenAI puts into a chunk to hide its length on the wire."""

_OBJECTS = {"chat.completion.chunk": "chat.completion", "": "chat.completion"}


class OpenAIChat(Assembler):
    """Puts the chunks of a chat completion together."""

    def __init__(self) -> None:
        self._top: JSONObject = {}
        self._choices: dict[int, JSONObject] = {}

    @property
    def complete(self) -> bool:
        """Whether [DONE] was seen, or, with servers that leave it out, the end of every choice."""
        ends = [choice["finish_reason"] for choice in self._choices.values()]
        return super().complete or (bool(ends) and None not in ends)

    @property
    def text(self) -> str:
        """The content of the first choice."""
        if not self._choices:
            return ""
        first = self._choices[min(self._choices)]
        content = object_in(first, "message").get("content", first.get("text"))
        # Some put the text and the thinking into parts (Mistral).
        return joined_text(objects_in({"parts": content}, "parts") or [{"text": content}])

    def value(self) -> JSONObject:
        """The completion, an object `chat.completion`."""
        kind = text_in(self._top, "object")
        choices = [_completed(choice) for choice in in_order(self._choices)]
        top = {**self._top, "object": _OBJECTS.get(kind, kind), "choices": choices}
        completion: JSONObject = settled(top)
        return completion

    def _take(self, kind: str, data: JSONObject) -> None:  # noqa: ARG002 - chunks have no kinds
        for name, value in data.items():
            # Azure's first chunk has its id and model empty, most chunks have `usage` null.
            if name not in (_PADDING, "error") and (value not in (None, "") or name not in self._top):
                self._top[name] = value
        for choice in objects_in(data, "choices"):
            self._take_choice(choice)

    def _take_choice(self, choice: JSONObject) -> None:
        index = index_in(choice)
        held = self._choices.setdefault(index, {"index": index, "finish_reason": None})
        for name, value in choice.items():
            if name == "text" and isinstance(value, str):
                append_text(held, name, value)
                self.characters += len(value)
            elif name == "logprobs":
                merge(held, {name: value})
            elif name not in ("delta", "message") and (value not in (None, "", {}) or name not in held):
                held[name] = value
        # A server that cannot stream may send the whole message as its only chunk.
        if delta := object_in(choice, "delta" if "delta" in choice else "message"):
            merge(held.setdefault("message", {}), delta)
            self.characters += text_length(delta)


def _completed(choice: JSONObject) -> JSONObject:
    if "text" in choice:
        return choice
    # What a message always has, also when nothing of it has come.
    message = {"role": "assistant", "content": None, **object_in(choice, "message")}
    if calls := objects_in(message, "tool_calls"):
        message["tool_calls"] = [_without_index(call) for call in calls]
    return {**choice, "message": message}


def _without_index(call: JSONObject) -> JSONObject:
    """A tool call as it is outside streams, where its place in the array is its index."""
    return {name: value for name, value in call.items() if name != "index"}
