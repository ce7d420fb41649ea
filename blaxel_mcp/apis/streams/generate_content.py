"""Generated content in pieces, each shaped like a whole answer (Google's API reference, streamGenerateContent)."""

from blaxel_mcp.apis.streams.assembler import Assembler, in_order, index_in, object_in, objects_in, text_in
from blaxel_mcp.apis.streams.deltas import append_text, joined_text, settled, text_length
from blaxel_mcp.core.json_text import JSONObject

_TEXT_ALONE = {"text", "thought"}
"""What a part may hold to be joined with its neighbour: a signature stays on the part that it came with."""


class GeminiContent(Assembler):
    """Puts the pieces of generated content together."""

    def __init__(self) -> None:
        self._top: JSONObject = {}
        self._candidates: dict[int, JSONObject] = {}

    @property
    def complete(self) -> bool:
        """Whether every candidate has ended, or the prompt was blocked and there will be none."""
        ends = [bool(candidate.get("finishReason")) for candidate in self._candidates.values()]
        blocked = bool(object_in(self._top, "promptFeedback").get("blockReason"))
        return super().complete or blocked or (bool(ends) and all(ends))

    @property
    def text(self) -> str:
        """The text of the first candidate, without its thoughts."""
        if not self._candidates:
            return ""
        parts = _parts_of(self._candidates[min(self._candidates)])
        return joined_text(part for part in parts if not part.get("thought"))

    def value(self) -> JSONObject:
        """The answer of generateContent."""
        candidates = [_without_empty_content(candidate) for candidate in in_order(self._candidates)]
        answer: JSONObject = {"candidates": candidates} if candidates else {}
        value: JSONObject = settled(answer | self._top)
        return value

    def _take(self, kind: str, data: JSONObject) -> None:  # noqa: ARG002 - the pieces have no kinds
        self._top |= {name: value for name, value in data.items() if name not in ("candidates", "error")}
        for candidate in objects_in(data, "candidates"):
            self._take_candidate(candidate)

    def _take_candidate(self, candidate: JSONObject) -> None:
        held = self._candidates.setdefault(index_in(candidate), {"content": {"parts": []}})
        held |= {name: value for name, value in candidate.items() if name != "content"}
        if role := text_in(object_in(candidate, "content"), "role"):
            object_in(held, "content")["role"] = role
        parts = _parts_of(held)
        for part in objects_in(object_in(candidate, "content"), "parts"):
            self.characters += text_length(part.get("text"))
            if part.get("text") == "" and not part.keys() - _TEXT_ALONE:
                # The last piece often has a text of nothing, to have a part at all.
                continue
            if parts and _runs_on(parts[-1], part):
                append_text(parts[-1], "text", text_in(part, "text"))
            else:
                parts.append(part)


def _parts_of(candidate: JSONObject) -> list[JSONObject]:
    parts: list[JSONObject] = candidate["content"]["parts"]
    return parts


def _without_empty_content(candidate: JSONObject) -> JSONObject:
    """A candidate that came to nothing as it is outside streams: without parts, or without content."""
    content = {name: value for name, value in candidate["content"].items() if value}
    others = {name: value for name, value in candidate.items() if name != "content"}
    return {"content": content, **others} if content else others


def _runs_on(last: JSONObject, part: JSONObject) -> bool:
    texts = "text" in last and "text" in part and not (last.keys() | part.keys()) - _TEXT_ALONE
    return texts and bool(last.get("thought")) == bool(part.get("thought"))
