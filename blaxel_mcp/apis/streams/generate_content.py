"""Generated content in pieces, each shaped like a whole answer (Google's API reference, streamGenerateContent)."""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import append_text, joined_text, text_length
from blaxel_mcp.apis.streams.partial_call import PartialCall
from blaxel_mcp.core.json_text import JSONObject

GEMINI_STREAM = ":streamGenerateContent"

_TEXT_FIELDS = {"text", "thought"}
"""Fields of a part that can be joined with the part before it: a signature stays on the part that it came with."""


class GenerateContentAssembler(Assembler):
    """Assembles pieces of generated content."""

    api = "generate-content"
    path_ends = (GEMINI_STREAM,)
    linger_seconds = 10.0
    """Earlier models finish their candidate in each piece."""

    def __init__(self) -> None:
        super().__init__()
        self._candidates: dict[int, JSONObject] = {}
        self._calls: dict[int, PartialCall] = {}

    @property
    def complete(self) -> bool:
        """Whether every candidate has finished, or the prompt was blocked and there will be none."""
        finished = [bool(candidate.get("finishReason")) for candidate in self._candidates.values()]
        blocked = bool(object_in(self._answer, "promptFeedback").get("blockReason"))
        return super().complete or blocked or (bool(finished) and all(finished))

    @property
    def text(self) -> str:
        """The text of the first candidate, without thoughts."""
        if not self._candidates:
            return ""
        parts = _parts_of(self._candidates[min(self._candidates)])
        return joined_text(part for part in parts if not part.get("thought"))

    def _built(self) -> JSONObject:
        candidates = [_without_empty_content(candidate) for candidate in in_order(self._candidates)]
        return {**({"candidates": candidates} if candidates else {}), **self._answer}

    @classmethod
    def recognizes(cls, kind: str, data: JSONObject) -> bool:  # noqa: ARG003 - the pieces have no kinds
        """Return whether an event is a piece of generated content."""
        return not data.keys().isdisjoint(("candidates", "promptFeedback"))

    def _apply(self, kind: str, data: JSONObject) -> bool:  # noqa: ARG002 - the pieces have no kinds
        self._set({name: value for name, value in data.items() if name not in ("candidates", "error")})
        for candidate in objects_in(data, "candidates"):
            self._apply_candidate(candidate)
        return True

    def _apply_candidate(self, candidate: JSONObject) -> None:
        index = index_in(candidate)
        target = self._candidates.setdefault(index, {"content": {"parts": []}})
        target |= {name: value for name, value in candidate.items() if name != "content" and value is not None}
        if role := text_in(object_in(candidate, "content"), "role"):
            object_in(target, "content")["role"] = role
        parts = _parts_of(target)
        for part in objects_in(object_in(candidate, "content"), "parts"):
            self.characters += text_length(part.get("text"))
            if part.get("text") == "" and not part.keys() - _TEXT_FIELDS:
                # The last piece often has an empty text, so that it has a part.
                continue
            if parts and _continues(parts[-1], part):
                append_text(parts[-1], "text", text_in(part, "text"))
            elif call := object_in(part, "functionCall"):
                self._calls.setdefault(index, PartialCall()).apply(parts, part, call)
            elif "functionCall" in part and index in self._calls:
                # An empty call ends the one before it.
                self._calls[index].close()
            else:
                parts.append(part)


def _parts_of(candidate: JSONObject) -> list[JSONObject]:
    parts: list[JSONObject] = candidate["content"]["parts"]
    return parts


def _without_empty_content(candidate: JSONObject) -> JSONObject:
    """Return a candidate as it is without a stream: no empty `parts`, and no `content` that would be empty."""
    content = {name: value for name, value in candidate["content"].items() if value}
    others = {name: value for name, value in candidate.items() if name != "content"}
    return {"content": content, **others} if content else others


def _continues(last: JSONObject, part: JSONObject) -> bool:
    """Whether a part continues the text, or the thought, of the last one."""
    texts = "text" in last and "text" in part and not (last.keys() | part.keys()) - _TEXT_FIELDS
    return texts and bool(last.get("thought")) == bool(part.get("thought"))
