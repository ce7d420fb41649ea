"""Chat completion chunks (OpenAI API reference, "The chat completion chunk object").

The older completions API streams the same way, with `text` instead of `delta` in a choice.
"""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import TextBuffer, joined_text, merge
from blaxel_mcp.core.json_text import JSONObject

_PADDING = ("obfuscation", "p")
"""Random characters that OpenAI and Mistral add to a chunk to hide its length on the wire."""

_NO_FIELDS = (*_PADDING, "error", "x_groq")

_DELTA_NOISE = ("channel", "token_id")
"""Fields of single tokens (Groq, Together), which a plain answer does not have."""

_SIMPLE_CHOICE = frozenset({"index", "delta", "finish_reason"})
_WORDS = frozenset({"content", "role"})
_VARYING = frozenset({"choices", *_PADDING})
"""Fields of a chunk that differ in each chunk."""

_OBJECTS = {"chat.completion.chunk": "chat.completion", "": "chat.completion"}
"""The `object` of a chunk, and that of the completion."""


class ChatCompletionsAssembler(Assembler):
    """Assembles chat completion chunks."""

    api = "chat-completions"
    path_ends = ("/completions",)

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, JSONObject] = {}

    def _is_complete(self) -> bool:
        # Some servers omit [DONE].
        return bool(self._choices) and not self._open

    def _text_so_far(self) -> str:
        first = self._choices[min(self._choices)] if self._choices else {}
        content = object_in(first, "message").get("content", first.get("text"))
        # Mistral sends text and thinking as parts.
        return joined_text(content if isinstance(content, list) else [{"text": content}])

    def _built(self) -> JSONObject:
        kind = text_in(self._answer, "object")
        choices = [_unchunked(choice) for choice in in_order(self._choices)]
        return {**self._answer, "object": _OBJECTS.get(kind, kind), "choices": choices}

    @classmethod
    def recognizes(cls, kind: str, data: JSONObject) -> bool:  # noqa: ARG003 - chunks have no kinds
        """Return whether an event is a chunk."""
        return not data.keys().isdisjoint(("choices", "x_groq")) or text_in(data, "object").startswith(
            ("chat.completion", "text_completion")
        )

    def _apply(self, kind: str, data: JSONObject) -> bool:
        if self._apply_words(data):
            return True
        if "usage" not in data and not self.recognizes(kind, data):
            return False
        for name, value in data.items():
            # Azure's first chunk has an empty id and model.
            if name not in _NO_FIELDS and (value not in (None, "") or name not in self._answer):
                self._set({name: value})
        if groq := object_in(data, "x_groq"):
            # Groq's own fields: an error, and usage unless the request asked for it in the stream.
            self.record_error(groq.get("error"))
            if usage := groq.pop("usage", None):
                self._set({"usage": usage})
            self._answer.setdefault("x_groq", {}).update(groq)
        for choice in objects_in(data, "choices"):
            self._apply_choice(choice)
        return True

    def _apply_words(self, data: JSONObject) -> bool:
        """Add a chunk that does nothing but continue a choice's content, as most do; return whether it is one."""
        choices = data.get("choices")
        choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
        if not isinstance(choice, dict) or not _SIMPLE_CHOICE.issuperset(choice):
            return False
        delta, index = choice.get("delta"), choice.get("index")
        if not isinstance(delta, dict) or not isinstance(index, int) or choice.get("finish_reason") is not None:
            return False
        message = object_in(self._choices.get(index, {}), "message")
        # A role is sent once, or again with each chunk.
        words = delta.get("content") if len(delta) == 1 or (len(delta) == 2 and message.get("role")) else None  # noqa: PLR2004 - a content and a role
        content = message.get("content")
        if not isinstance(words, str) or not isinstance(content, TextBuffer) or not _WORDS.issuperset(delta):
            return False
        for name, value in data.items():
            if name not in _VARYING and (name not in self._answer or self._answer[name] != value):
                return False
        content.append(words)
        self.characters += len(words)
        return True

    def _apply_choice(self, choice: JSONObject) -> None:
        index = index_in(choice)
        target = self._choices.setdefault(index, {"index": index, "finish_reason": None})
        # Together repeats the delta's content as `text`, as the completions API spells it.
        is_chat = "message" in target or not choice.keys().isdisjoint(("delta", "message"))
        for name, value in choice.items():
            if name == "text" and isinstance(value, str):
                if not is_chat:
                    self._append(target, name, value)
            elif name == "logprobs":
                merge(target, {name: value})
            elif name == "usage":
                # Moonshot's place for it in a stream.
                self._set({name: value})
            elif name not in ("delta", "message") and (value not in (None, "", {}) or name not in target):
                target[name] = value
        self._note_end(index, ended=target["finish_reason"] is not None)
        # A server that cannot stream may send the whole message in one chunk.
        delta = object_in(choice, "delta" if "delta" in choice else "message")
        if delta := {name: value for name, value in delta.items() if name not in _DELTA_NOISE}:
            self._merge(target.setdefault("message", {}), delta)


def _unchunked(choice: JSONObject) -> JSONObject:
    """Return a choice as it is without a stream: with a whole message, whose tool calls have no index."""
    if "text" in choice:
        return choice
    message = {"role": "assistant", "content": None, **object_in(choice, "message")}
    if calls := objects_in(message, "tool_calls"):
        message["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
    return {**choice, "message": message}
